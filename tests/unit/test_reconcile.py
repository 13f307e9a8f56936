"""Other counts: how their files are read, how they compare with ours, and why they may differ."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.errors import CheckFailed, ConfigurationError
from schemas.calendar import epoch_us, moment_of
from schemas.reconciliation import ComparedCell, OtherCount, OurCount
from stream_jobs.month_close.reconcile.column_map import parse_map
from stream_jobs.month_close.reconcile.compare import Evidence, Known, causes, compare
from stream_jobs.month_close.reconcile.evidence import Edges
from stream_jobs.month_close.reconcile.read import OtherCounts, read_counts
from tests.unit.report_basis import OCTOBER, catalogue

EXAMPLES = Path(__file__).parents[2] / "examples" / "reconcile"
MAP = """
origin: broker
tenant: {column: Customer, values: {"Contoso": a, "": unlinked}, ignore: [Total]}
sku: {value: S1}
total: {column: Total}
paid: {column: Paid}
free: {column: Free}
month: {column: Month}
thousands: ","
"""


def read(data: str | bytes, how: str = MAP) -> OtherCounts:
    raw = data.encode() if isinstance(data, str) else data
    return read_counts(raw, parse_map(how), OCTOBER, catalogue(), "file.csv")


def told(found: OtherCounts) -> list[tuple[Any, ...]]:
    return [(c.tenant, c.sku, c.total, c.paid, c.free) for c in found.counts]


def test_rows_are_named_added_up_and_left_out_as_the_map_says() -> None:
    found = read(
        "\ufeffCustomer,Month,Total,Paid,Free\r\nContoso,2026-10,\"1,200\",1000,200\r\n"
        "a,2026-10-31,5,5,0\r\ncustomer b,2026/10,7,,\r\n,2026-10,3,,3\r\nElsewhere,2026-10,2,1,1\r\n"
        "a,2026-09,99,99,0\r\nTotal,2026-10,1214,,\r\n"
    )
    assert told(found) == [
        ("Elsewhere", "S1", 2, 1, 1), ("a", "S1", 1205, 1005, 200), ("b", "S1", 7, None, None),
        ("unlinked", "S1", 3, 0, 3),
    ]  # fmt: skip
    assert found.notes == ["1 rows were left out, as the map says", "1 rows of other months were left out"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a,2026-10,10,5,4", "total 10 is not paid 5 + free 4"),
        ("a,2026-10,x,5,4", "total 'x' is not a number"),
        ("a,2026-10,-3,,", "total '-3' is not a number"),
        ("a,2026-10,1.5,,", "total '1.5' is not a number"),
        ("a,October,1,,", "'October' is not a month"),
        ("a,2026-101,1,,", "is not a month"),
        ("a,2026-10,,,3", "gives neither total nor paid"),
        ("a,2026-10,2,,3", "more are free"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_nothing_is_imported(row: str, says: str) -> None:
    with pytest.raises(CheckFailed, match="nothing was imported") as failed:
        read(f"Customer,Month,Total,Paid,Free\nb,2026-10,1,,\n{row}\n")
    assert "file.csv:3: " in str(failed.value)
    assert says in str(failed.value)


def test_rows_of_one_cell_that_give_different_parts_cannot_be_added() -> None:
    head = "Customer,Month,Total,Paid,Free\n"
    assert told(read(f"{head}a,2026-10,5,3,2\na,2026-10,4,,\n")) == [("a", "S1", 9, None, None)]
    with pytest.raises(CheckFailed, match="some rows give a total, others what is paid"):
        read(f"{head}a,2026-10,5,,\na,2026-10,,4,\n")


def test_what_the_file_lacks_is_told_with_what_it_has() -> None:
    with pytest.raises(ConfigurationError, match="no column 'Free', 'Paid'; there are 'Customer', 'Month', 'Total'"):
        read("Customer,Month,Total\na,2026-10,1\n")
    with pytest.raises(CheckFailed, match=r"file.csv has no row of 2026-10"):
        read("Customer,Month,Total,Paid,Free\na,2026-09,1,,\n")
    with pytest.raises(ConfigurationError, match="is not utf-8-sig"):
        read("Customer,Month,Total,Paid,Free\ncafé,2026-10,1,,\n".encode("latin-1"))


def test_json_with_objects_in_objects() -> None:
    how = """
    {origin: api, format: json, rows: data.items, tenant: {column: org.id}, sku: {column: product, values: {X: S2}},
     paid: {column: users.paid}}
    """
    rows = [{"org": {"id": "A"}, "product": "X", "users": {"paid": 3}}, {"org": {"id": "b"}, "product": "Product S1",
             "users": {"paid": 4.0}}]  # fmt: skip
    found = read(json.dumps({"data": {"items": rows}}), how)
    assert told(found) == [("a", "S2", None, 3, None), ("b", "S1", None, 4, None)]
    with pytest.raises(ConfigurationError, match=r"no array of objects at data\.items"):
        read("{}", how)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("origin: [", "not YAML"),
        ("just text", "not a column map"),
        ("{origin: x, tenant: {column: T}, sku: {value: S}}", "name where the count stands, under total or paid"),
        ("{origin: x, tenant: {}, sku: {value: S}, total: {column: T}}", "tenant: name either a column or a value"),
        ("{origin: x, tenant: {value: a}, sku: {value: S}, total: {column: T}, zone: UTC}", "zone: Extra inputs"),
        ("{origin: x, tenant: {value: a}, sku: {value: S}, total: {column: T}, time_zone: Mars}", "'Mars' is not an"),
    ],
)
def test_a_map_that_cannot_be_used(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as failed:
        parse_map(text, "map.yaml")
    assert says in str(failed.value)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_are_maps_and_say_that_they_are_examples(file: Path) -> None:
    text = file.read_text("utf-8")
    assert parse_map(text, file.name).origin.startswith("example-")
    assert "example" in text.splitlines()[0]


NOTHING = Evidence()
KNOWN = Known(frozenset("abc"), frozenset(["S1"]))


def one(ours: int, theirs: int, evidence: Evidence = NOTHING, **more: Any) -> list[tuple[str, int | None, bool]]:
    free = more.pop("their_free", None)
    unlinked = more.pop("unlinked", 0)
    here = OurCount(tenant="a", sku="S1", agreement="east", revision=1, counted=ours, **more)
    [cell] = compare(OCTOBER, [here], [OtherCount(tenant="a", sku="S1", paid=theirs, free=free)])
    return [(c.kind, c.figure, c.explains) for c in causes(cell, here, evidence, KNOWN, "UTC", unlinked)]


UNKEPT = ("case", None, False)


def test_what_explains_the_difference_comes_first() -> None:
    evidence = Evidence(late=5, set_aside=9)
    assert one(10, 15, evidence, free=3, excluded=1) == [
        ("late", 5, True), ("free_users", 3, False), ("excluded", 1, False), ("left_out", 4, False),
        ("unlinked", 9, False),
    ]  # fmt: skip
    assert one(10, 14, evidence, free=3, excluded=1)[0] == ("left_out", 4, True)
    assert one(10, 13, free=3) == [("free_users", 3, True)]
    assert one(10, 13) == [UNKEPT]
    assert one(10, 13, Evidence(folds_case=False)) == []


def test_fewer_there() -> None:
    assert one(10, 7, their_free=3) == [("free_users", 3, True)]
    assert one(10, 10, their_free=3) == [("free_users", 0, True)]
    assert one(10, 7, unlinked=3) == [("unlinked", 3, True)]
    assert one(10, 7, Evidence(case=1, domain=3)) == [("domain", 3, True), ("case", 1, False)]
    assert one(10, 7, Evidence(case=None, domain=None, late=3, set_aside=3)) == []


def test_the_other_sides_zone() -> None:
    assert one(10, 8, Evidence(leaving=3, leaving_at_most=True, entering=1)) == [("time_zone", -2, True)]
    assert one(10, 11, Evidence(leaving=3, entering=0)) == [UNKEPT]
    here = OurCount(tenant="a", sku="S1", agreement="east", counted=10)
    [cell] = compare(OCTOBER, [here], [OtherCount(tenant="a", sku="S1", total=8)])
    [cause] = causes(cell, here, Evidence(leaving=3, leaving_at_most=True, entering=1), KNOWN, "UTC")
    assert cause.text == "cut in UTC, the month would lose up to 3 subjects and gain 1"


def test_what_the_catalogue_does_not_know_is_nobodys() -> None:
    [cell] = compare(OCTOBER, [], [OtherCount(tenant="Not Linked", sku="Q", total=4)])
    found = causes(cell, OurCount(tenant="Not Linked", sku="Q", agreement=""), Evidence(), KNOWN, "UTC")
    assert [(c.kind, c.figure, c.explains) for c in found] == [("unknown_tenant", 4, True), ("unknown_sku", 4, True)]


CELLS = st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(["S1", "S2"])), st.integers(0, 9))


@given(CELLS, CELLS)
def test_every_cell_of_both_is_compared_once(
    ours: dict[tuple[str, str], int], theirs: dict[tuple[str, str], int]
) -> None:
    mine = [OurCount(tenant=t, sku=s, agreement="east", counted=n) for (t, s), n in ours.items()]
    other = [OtherCount(tenant=t, sku=s, total=n) for (t, s), n in theirs.items()]
    found: dict[tuple[str, str], ComparedCell] = {(c.tenant, c.sku): c for c in compare(OCTOBER, mine, other)}
    assert found.keys() == ours.keys() | theirs.keys()
    for cell, c in found.items():
        assert (c.ours, c.theirs) == (ours.get(cell, 0), theirs.get(cell, 0))
        assert c.differs == (c.ours != c.theirs)


# Hours from the month's start in UTC: around it, around the ends of months of 29 to 31 days, and anywhere.
HOURS = st.one_of(
    st.integers(-30, 30), *(st.integers(d * 24 - 30, d * 24 + 30) for d in (29, 31)), st.integers(-900, 1700)
)
LOGINS = st.lists(HOURS.map(lambda hour: hour * 3_600_000_000 + 1), min_size=1, max_size=4)


@example([[h * 3_600_000_000 + 1 for h in (-13, 733)]], "Asia/Tokyo", "Pacific/Kiritimati", date(2026, 10, 1))
@given(
    st.lists(LOGINS, max_size=5), st.sampled_from(["Asia/Tokyo", "America/New_York", "Europe/Amsterdam", "UTC"]),
    st.sampled_from(["UTC", "Asia/Tokyo", "Pacific/Kiritimati", "America/New_York"]),
    st.sampled_from([date(2026, 10, 1), date(2026, 3, 1), date(2028, 2, 1)]),
)  # fmt: skip
def test_who_would_leave_and_enter_in_another_zone(
    people: list[list[int]], zone: str, other: str, month: date
) -> None:
    """The edges against every single login: exact where they say so, else never too few."""
    edges = Edges.between(month, zone, other)
    base = epoch_us(datetime(month.year, month.month, 1, tzinfo=UTC))

    def day(us: int) -> date:
        return moment_of(us).astimezone(ZoneInfo(zone)).date()

    leaving = entering = true_leaving = true_entering = 0
    for person in people:
        logins = [base + at for at in person]
        here = [us for us in logins if edges.start <= us < edges.end]
        there = [us for us in logins if edges.other_start <= us < edges.other_end]
        bits = sum({1 << day(us).day for us in here})
        before = [us for us in logins if (month - timedelta(days=1)).replace(day=1) <= day(us) < month]
        after = [us for us in logins if us >= edges.end]
        true_leaving += bool(here and not there)
        true_entering += bool(there and not here)
        leaving += bool(here) and (
            min(here) >= edges.other_end or (min(here) < edges.other_start and not bits & ~edges.first_days)
        )
        entering += not here and (
            bool(after and min(after) < edges.other_end)
            or any(1 << day(us).day & edges.last_days for us in before)
        )
    assert leaving == true_leaving if not edges.begins_otherwise else leaving >= true_leaving
    assert entering == true_entering if not edges.begins_earlier else entering >= true_entering
