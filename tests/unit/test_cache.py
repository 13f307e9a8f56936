"""The cache may only save work: what it remembers of a row is never more than what is stored, and it is bounded."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_jobs.dedup.cache import Cache, Slot, mark, stamp
from tests.unit.logins import law

MONTH = date(2026, 10, 1)
SECOND = 1_000_000
START = 1_790_780_400 * SECOND
"""The month's first instant in Tokyo, in epoch microseconds."""


class Stored(NamedTuple):
    """A stored row, and an event as the row that it would be by itself."""

    day: int
    first: int
    recorded_in: int

    @property
    def days(self) -> int:
        return 1 << self.day


class Row(NamedTuple):
    days: int
    first: int
    recorded_in: int

    def join(self, other: Stored) -> Row:
        return Row(self.days | other.days, min(self.first, other.first), min(self.recorded_in, other.recorded_in))


NOTHING = Row(0, 1 << 62, 1 << 30)
events = st.builds(
    Stored, st.integers(1, 31), st.integers(0, 5).map(lambda n: START + n * 40 * SECOND), st.integers(0, 2)
)
places = st.tuples(st.sampled_from("ab"), st.sampled_from(["u", "v", "w", "x"]))
steps = st.lists(st.tuples(places, st.none() | events), max_size=60)


def learn(cache: Cache, slot: Slot, subject: str, event: Stored) -> None:
    cache.learn(slot, subject, mark(slot.origin, event.first, event.days), event.recorded_in)


def skips(slot: Slot, known: int, event: Stored) -> bool:
    """As the hot loop asks, with the stamp of the minute in which the event lies."""
    late = stamp(slot.origin, event.first // (60 * SECOND)) > known
    return bool(known & event.days) and late and event.recorded_in >= slot.closed


@law(300)
@given(st.integers(1, 9), steps, st.lists(events, max_size=5))
def test_what_it_skips_changes_no_stored_row_and_it_never_grows_beyond_its_bound(
    entries: int, taken: list[tuple[tuple[str, str], Stored | None]], asked: list[Stored]
) -> None:
    cache = Cache(entries)
    stored: dict[tuple[str, str], Row] = {}
    for (tenant, subject), event in taken:
        slot = cache.slot(MONTH, tenant, "S", True)
        if event is not None:
            stored[tenant, subject] = stored.get((tenant, subject), NOTHING).join(event)
            learn(cache, slot, subject, event)
        for known in (slot.young.get(subject), cache.recall(slot, subject)):
            for each in asked if known is not None else ():
                assert known is not None
                row = stored[tenant, subject]
                assert not skips(slot, known, each) or row.join(each) == row
        assert len(cache) <= max(entries, 1)


@law(100)
@given(steps)
def test_a_cache_with_room_knows_every_row_to_the_minute(
    taken: list[tuple[tuple[str, str], Stored | None]]
) -> None:
    cache = Cache(1000)
    stored: dict[tuple[str, str], Row] = {}
    for (tenant, subject), event in taken:
        if event is not None:
            stored[tenant, subject] = stored.get((tenant, subject), NOTHING).join(event)
            learn(cache, cache.slot(MONTH, tenant, "S", True), subject, event)
    assert len(cache) == len(stored)
    for (tenant, subject), row in stored.items():
        slot = cache.slot(MONTH, tenant, "S", True)
        known = cache.recall(slot, subject)
        assert known == mark(slot.origin, row.first, row.days)
        for day in range(1, 32):
            later = Stored(day, row.first + 61 * SECOND, slot.closed)
            assert skips(slot, known, later) == bool(row.days & later.days)


def test_a_row_that_is_met_again_outlives_one_that_is_not() -> None:
    cache = Cache(4)
    slot = cache.slot(MONTH, "a", "S", True)
    learn(cache, slot, "often", Stored(1, START, 0))
    learn(cache, slot, "once", Stored(1, START, 0))
    for n in range(10):
        assert cache.recall(slot, "often") is not None
        learn(cache, slot, f"other {n}", Stored(1, START, 0))
    assert cache.recall(slot, "once") is None


@pytest.mark.parametrize("other", [(date(2026, 9, 1), "a", "S", True), (MONTH, "b", "S", True), (MONTH, "a", "T", True),
                                   (MONTH, "a", "S", False)])  # fmt: skip
def test_rows_of_another_month_tenant_sku_or_folding_are_others(other: tuple[date, str, str, bool]) -> None:
    cache = Cache(10)
    slot = cache.slot(MONTH, "a", "S", True)
    learn(cache, slot, "alice", Stored(1, START, 0))
    assert cache.slot(MONTH, "a", "S", True) is slot
    assert cache.recall(cache.slot(*other), "alice") is None
