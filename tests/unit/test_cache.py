"""The cache may only save work: what it remembers of a row is never more than what is stored, and it is bounded."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_jobs.dedup.cache import Cache, Known
from tests.unit.logins import law

MONTH = date(2026, 10, 1)


def known(days: int, hours: int, recorded_in: int) -> Known:
    return Known(days, timedelta(hours=hours), recorded_in)


rows = st.builds(known, st.integers(1, 7), st.integers(0, 5), st.integers(0, 2))
places = st.tuples(st.sampled_from("ab"), st.sampled_from(["u", "v", "w", "x"]))
steps = st.lists(st.tuples(places, st.none() | rows), max_size=60)


@law(300)
@given(st.integers(1, 9), steps)
def test_it_never_knows_more_than_is_stored_and_never_grows_beyond_its_bound(
    entries: int, taken: list[tuple[tuple[str, str], Known | None]]
) -> None:
    cache = Cache(entries)
    stored: dict[tuple[str, str], Known] = {}
    for (tenant, subject), row in taken:
        slot = cache.slot(MONTH, tenant, "S", True)
        if row is not None:
            old = stored.get((tenant, subject))
            stored[tenant, subject] = row if old is None else old.join(row)
            cache.learn(slot, subject, row)
        for each in (slot.young.get(subject), cache.recall(slot, subject)):
            if each is not None:
                truth = stored[tenant, subject]
                assert each.days & ~truth.days == 0
                assert each.first >= truth.first
                assert each.recorded_in >= truth.recorded_in
        assert len(cache) <= max(entries, 1)


@law(100)
@given(steps)
def test_a_cache_with_room_knows_every_row_to_the_letter(taken: list[tuple[tuple[str, str], Known | None]]) -> None:
    cache = Cache(1000)
    stored: dict[tuple[str, str], Known] = {}
    for (tenant, subject), row in taken:
        if row is not None:
            old = stored.get((tenant, subject))
            stored[tenant, subject] = row if old is None else old.join(row)
            cache.learn(cache.slot(MONTH, tenant, "S", True), subject, row)
    assert len(cache) == len(stored)
    for (tenant, subject), row in stored.items():
        assert cache.recall(cache.slot(MONTH, tenant, "S", True), subject) == row


def test_a_row_that_is_met_again_outlives_one_that_is_not() -> None:
    cache = Cache(4)
    slot = cache.slot(MONTH, "a", "S", True)
    cache.learn(slot, "often", known(1, 0, 0))
    cache.learn(slot, "once", known(1, 0, 0))
    for n in range(10):
        assert cache.recall(slot, "often") is not None
        cache.learn(slot, f"other {n}", known(1, 0, 0))
    assert cache.recall(slot, "once") is None


@pytest.mark.parametrize("other", [(date(2026, 9, 1), "a", "S", True), (MONTH, "b", "S", True), (MONTH, "a", "T", True),
                                   (MONTH, "a", "S", False)])  # fmt: skip
def test_rows_of_another_month_tenant_sku_or_folding_are_others(other: tuple[date, str, str, bool]) -> None:
    cache = Cache(10)
    slot = cache.slot(MONTH, "a", "S", True)
    cache.learn(slot, "alice", known(1, 0, 0))
    assert cache.slot(MONTH, "a", "S", True) is slot
    assert cache.recall(cache.slot(*other), "alice") is None
