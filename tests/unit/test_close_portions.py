"""Portions of a month cover each tenant and subject once, whatever was counted of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_jobs.month_close.portions import Portion, portions

TENANTS = st.text("ab0-", max_size=3)
ROWS = st.dictionaries(st.tuples(TENANTS, st.sampled_from(["S", "T"])), st.integers(1, 30), max_size=12)


def holding(found: list[Portion], tenant: str, byte: int) -> list[Portion]:
    return [p for p in found if tenant in p and (p.slice is None or p.slice[0] <= byte <= p.slice[1])]


@given(ROWS, st.integers(1, 40), st.booleans(), TENANTS, st.integers(0, 255))
def test_every_subject_of_every_tenant_is_in_one(
    rows: dict[tuple[str, str], int], most: int, sliced: bool, other: str, byte: int
) -> None:
    found = portions(rows, most=most, sliced=sliced)
    for tenant in {other, *(tenant for tenant, _ in rows)}:
        assert len(holding(found, tenant, byte)) == 1


@given(ROWS, st.integers(1, 40))
def test_a_portion_is_no_larger_than_asked_unless_it_is_one_tenant(
    rows: dict[tuple[str, str], int], most: int
) -> None:
    for portion in portions(rows, most=most):
        held = {cell: n for cell, n in rows.items() if cell[0] in portion}
        assert sum(held.values()) <= most or len({tenant for tenant, _ in held}) == 1


def test_a_large_tenant_is_sliced_by_the_first_byte_of_its_subjects() -> None:
    rows = {("a", "S"): 10, ("b", "S"): 100, ("c", "S"): 5}
    assert [p.slice for p in portions(rows, most=40, sliced=True)] == [None, (0, 84), (85, 169), (170, 255), None]
    assert [p.slice for p in portions(rows, most=40)] == [None] * 3


def test_of_nothing_there_is_one_portion_without_conditions() -> None:
    [whole] = portions({})
    assert (whole, whole.condition) == (Portion(), "")
