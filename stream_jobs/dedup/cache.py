"""What ClickHouse has acknowledged, remembered to save work: it may only skip what would change no stored row.

The memory is bounded. When its young half is full the old half is forgotten and the young one grows old; a row that
is met again becomes young. Forgetting costs a redundant row, never a count.

What is known of a row is one small number, its *mark*: the first whole minute behind its first event, above the days
on which it is active. An event has a *stamp*, a number of the same kind: the minute at which its clock hour began. It
changes nothing of the row if `mark & bit and stamp > mark`: its day is there, and it lies behind the first event.
"""

from __future__ import annotations

from datetime import date

from schemas.calendar import EPOCH

_SHIFT = 32
_DAYS = (1 << _SHIFT) - 1
_MINUTE_US = 60_000_000


def origin(month: date) -> int:
    """Where a month's minutes are counted from: a day before it begins in UTC, and so before it begins anywhere.

    `month` is its first day; the result is a minute since the epoch.
    """
    return (month.toordinal() - EPOCH.toordinal() - 1) * 1440


def stamp(origin: int, minute: int) -> int:
    """Of an event at that minute since the epoch, or later."""
    return minute - origin + 1 << _SHIFT


def mark(origin: int, first_us: int, days: int) -> int:
    """Of a row: its first event in epoch microseconds, and a bit for each of its days."""
    return first_us // _MINUTE_US + 1 - origin << _SHIFT | days


def joined(one: int, other: int) -> int:
    """What two marks of the same row say together."""
    return min(one >> _SHIFT, other >> _SHIFT) << _SHIFT | (one | other) & _DAYS


class Slot:
    """The rows of one (month, tenant, SKU): their marks, by the subject as it was spelled.

    `fold_case` and `truncate` are part of what a spelling means, so a catalogue that changes them has slots of its own.
    """

    __slots__ = ("closed", "fold_case", "month", "old", "origin", "sku", "tenant", "truncate", "young")

    def __init__(self, month: date, tenant: str, sku: str, fold_case: bool, truncate: bool = False) -> None:
        self.month, self.tenant, self.sku, self.fold_case, self.truncate = month, tenant, sku, fold_case, truncate
        self.young: dict[str, int] = {}
        self.old: dict[str, int] = {}
        self.origin = origin(month)
        self.closed = 0
        """The greatest close number that a row was learned with; an event before that close may change one."""


class Cache:
    """The slots, with at most `entries` remembered rows; one cache belongs to one generation of the table."""

    def __init__(self, entries: int) -> None:
        self._half = max(1, entries // 2)
        self._young = 0
        self._slots: dict[tuple[date, str, str, bool, bool], Slot] = {}

    def slot(self, month: date, tenant: str, sku: str, fold_case: bool, truncate: bool = False) -> Slot:
        key = (month, tenant, sku, fold_case, truncate)
        found = self._slots.get(key)
        if found is None:
            found = self._slots[key] = Slot(*key)
        return found

    def recall(self, slot: Slot, subject: str) -> int | None:
        """What is known of a row; what was about to be forgotten is young again."""
        known = slot.young.get(subject)
        if known is None and (known := slot.old.pop(subject, None)) is not None:
            self._enter(slot, subject, known)
        return known

    def learn(self, slot: Slot, subject: str, stored: int, recorded_in: int) -> None:
        """A row that ClickHouse has acknowledged, joined with what was known of it."""
        slot.closed = max(slot.closed, recorded_in)
        if (known := slot.young.get(subject)) is not None:
            slot.young[subject] = joined(known, stored)
        elif (known := slot.old.pop(subject, None)) is not None:
            self._enter(slot, subject, joined(known, stored))
        else:
            self._enter(slot, subject, stored)

    def __len__(self) -> int:
        return sum(len(slot.young) + len(slot.old) for slot in self._slots.values())

    def _enter(self, slot: Slot, subject: str, known: int) -> None:
        slot.young[subject] = known
        self._young += 1
        if self._young >= self._half:
            for each in self._slots.values():
                each.old, each.young = each.young, {}
            self._young = 0
