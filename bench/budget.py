"""A run's bound in time: what has begun is finished, what has no time left is not begun."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """Over after `minutes`; None never is. `clock` gives seconds."""

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._begun = clock, clock()
        self._end = None if minutes is None else self._begun + minutes * 60

    def left(self, seconds: float) -> bool:
        """Whether something that takes about `seconds` still fits."""
        return self._end is None or self._clock() + seconds <= self._end

    def share(self, part: float) -> Budget:
        """A budget that is over when `part` of this one has passed, so that something is left for others."""
        found = Budget(None, self._clock)
        if self._end is not None:
            found._end = self._begun + (self._end - self._begun) * part
        return found
