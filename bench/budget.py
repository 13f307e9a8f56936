"""A run's bound in time: what has begun is finished, what has no time left is not begun."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """Over after `minutes`; None never is. `clock` gives seconds."""

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if minutes is None else clock() + minutes * 60

    def left(self, seconds: float) -> bool:
        """Whether something that takes about `seconds` still fits."""
        return self._end is None or self._clock() + seconds <= self._end
