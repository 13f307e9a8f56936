"""What was given to a process and is not safe yet, neither in Kafka nor in a spool: since when it holds the oldest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


class InHand:
    """Held on one thread, asked from any."""

    def __init__(self) -> None:
        self._since: dict[object, datetime] = {}

    @property
    def oldest(self) -> datetime | None:
        """None while nothing is held."""
        return min(list(self._since.values()), default=None)  # list(): in one step, for it changes meanwhile

    def hold(self) -> object:
        """From now on, until the same is released."""
        held = object()
        self._since[held] = datetime.now(UTC)
        return held

    def release(self, held: object) -> None:
        del self._since[held]

    @contextmanager
    def held(self) -> Iterator[None]:
        held = self.hold()
        try:
            yield
        finally:
            self.release(held)
