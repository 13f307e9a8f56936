"""When Python looks for reference cycles: between batches, not inside of them.

By itself the collector counts allocations, and a fetch allocates tens of thousands of records that all live until
their batch is folded: it would walk them again and again and find nothing. That cost a third of the worker's time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

FULL_SECONDS = 300.0


class Collector:
    """Collects the young after each batch, everything now and then. Takes over from Python's own schedule."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at = clock() + FULL_SECONDS
        gc.collect()
        gc.freeze()  # what was imported stays, and need not be looked at
        gc.disable()

    def collect(self) -> None:
        """After a batch: what died with it is freed already, and only cycles are left to find."""
        if (now := self._clock()) < self._full_at:
            gc.collect(0)
        else:
            self._full_at = now + FULL_SECONDS
            gc.collect()
