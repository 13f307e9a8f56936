"""What ClickHouse has acknowledged, remembered to save work: it may only skip what would change no stored row.

The memory is bounded. When its young half is full the old half is forgotten and the young one grows old; a row that
is met again becomes young. Forgetting costs a redundant row, never a count.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple


class Known(NamedTuple):
    """A lower bound of a stored row: it is at least as low, as early, as full as this."""

    days: int
    """Bit d is set: active on day d of the month."""
    first: timedelta
    """The first event's time, since the epoch."""
    recorded_in: int

    def join(self, other: Known) -> Known:
        return Known(self.days | other.days, min(self.first, other.first), min(self.recorded_in, other.recorded_in))


class Slot:
    """The rows of one (month, tenant, SKU), by the subject as it was spelled.

    `fold_case` is part of what a spelling means, so a catalogue that changes it has slots of its own.
    """

    __slots__ = ("fold_case", "month", "old", "sku", "tenant", "young")

    def __init__(self, month: date, tenant: str, sku: str, fold_case: bool) -> None:
        self.month, self.tenant, self.sku, self.fold_case = month, tenant, sku, fold_case
        self.young: dict[str, Known] = {}
        self.old: dict[str, Known] = {}


class Cache:
    """The slots, with at most `entries` remembered rows; one cache belongs to one generation of the table."""

    def __init__(self, entries: int) -> None:
        self._half = max(1, entries // 2)
        self._young = 0
        self._slots: dict[tuple[date, str, str, bool], Slot] = {}

    def slot(self, month: date, tenant: str, sku: str, fold_case: bool) -> Slot:
        key = (month, tenant, sku, fold_case)
        found = self._slots.get(key)
        if found is None:
            found = self._slots[key] = Slot(*key)
        return found

    def recall(self, slot: Slot, subject: str) -> Known | None:
        """What is known of a row; what was about to be forgotten is young again."""
        known = slot.young.get(subject)
        if known is None and (known := slot.old.pop(subject, None)) is not None:
            self._enter(slot, subject, known)
        return known

    def learn(self, slot: Slot, subject: str, stored: Known) -> None:
        """A row that ClickHouse has acknowledged, joined with what was known of it."""
        if (known := slot.young.get(subject)) is not None:
            slot.young[subject] = known.join(stored)
        elif (known := slot.old.pop(subject, None)) is not None:
            self._enter(slot, subject, known.join(stored))
        else:
            self._enter(slot, subject, stored)

    def __len__(self) -> int:
        return sum(len(slot.young) + len(slot.old) for slot in self._slots.values())

    def _enter(self, slot: Slot, subject: str, known: Known) -> None:
        slot.young[subject] = known
        self._young += 1
        if self._young >= self._half:
            for each in self._slots.values():
                each.old, each.young = each.young, {}
            self._young = 0
