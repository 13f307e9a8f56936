"""What a contender's rounds come to. Pure: a result is checked first, and a wrong one gives no figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Truth:
    """What was planted."""

    events: int
    users: int


@dataclass
class Figures:
    """One contender in one scenario, a value a round; `failed` says why there are none."""

    rates: list[float] = field(default_factory=list)
    """Events a second."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds per million events, of the contender's process."""
    server_cpu: list[float] = field(default_factory=list)
    """The same of the ClickHouse process meanwhile."""
    failed: str | None = None

    def add(self, result: Mapping[str, Any], truth: Truth, *, counts: bool = True) -> None:
        """One round's result; a warm-up (`counts` is false) is checked alike, but gives no figure."""
        self.failed = self.failed or fault(result, truth)
        if self.failed or not counts:
            return
        self.rates.append(result["events"] / result["wall"])
        self.cpu.append(result["cpu"] / result["events"] * 1e6)
        self.server_cpu.append(result["server"] / result["events"] * 1e6)

    @property
    def shown(self) -> bool:
        """Whether there are figures, and every round of them was right."""
        return self.failed is None and bool(self.rates)

    @property
    def rate(self) -> float:
        return median(self.rates)

    @property
    def cpu_median(self) -> float:
        return median(self.cpu)

    @property
    def server_median(self) -> float:
        return median(self.server_cpu)


def fault(result: Mapping[str, Any], truth: Truth) -> str | None:
    """What is wrong with a result; None when it holds every event and exactly the planted users."""
    if result["events"] != truth.events:
        return f"read {result['events']:,} of {truth.events:,} events"
    if result["users"] != truth.users:
        return f"counted {result['users']:,} users, the truth is {truth.users:,}"
    if result["wall"] <= 0:
        return "took no time: everything came in one batch; use more events"
    return None


def spread(values: list[float]) -> float:
    """From the lowest to the highest, as a share of the median."""
    return (max(values) - min(values)) / median(values)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not pass."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
