"""How many events a second a key may send. A bucket that may run into debt: a batch is never too large for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Fills by `rate` a second up to two seconds' worth. Below zero it says how long to wait."""

    rate: float
    level: float
    at: float

    @classmethod
    def full(cls, rate: float, now: float) -> Bucket:
        return cls(rate, 2 * rate, now)

    def wait(self, now: float) -> float:
        """Seconds until something may be sent; 0: now."""
        self.level = min(2 * self.rate, self.level + (now - self.at) * self.rate)
        self.at = now
        return 0.0 if self.level > 0 else -self.level / self.rate + 1 / self.rate

    def take(self, events: int) -> None:
        self.level -= events
