"""What an event counts for: tenant, SKU, month and day by one version of the catalogue, or why for nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from schemas.calendar import epoch_us, locate, moment_of, zone_named
from schemas.catalogue import parse_catalogue
from schemas.event import read_event
from schemas.fast import Event, fast_form
from schemas.quarantine import Refusal
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.moment import hour_of, since_epoch
from stream_jobs.dedup.resolve import Resolver
from tests.unit.logins import login, raw

CATALOGUE = """
programmes:
  tokyo: {time_zone: Asia/Tokyo}
  east: {time_zone: America/St_Johns}
  south: {time_zone: Africa/Monrovia}
tenants:
  - {id: a, name: A, domains: [a.example, büro.example]}
  - {id: b, name: B, domains: [sub.a.example], fold_case: false}
skus:
  - {id: T, name: T, programme: tokyo, family: f, deployment: cloud, valid_from: 2026-10-05, valid_to: 2026-12}
  - {id: J, name: J, programme: east, family: f, deployment: cloud}
  - {id: M, name: M, programme: south, family: f, deployment: cloud}
products:
  - {source: /one, product: Desktop, sku: T, tenant: a}
  - {source: /one, product: Apps, sku: J}
  - {source: /two, product: Desktop, sku: J, tenant: b}
"""
FLOOR = date(1971, 1, 1)
NOON = "2026-10-31T12:00:00+09:00"


def resolver(text: str = CATALOGUE, cache: Cache | None = None) -> Resolver:
    return Resolver(1, parse_catalogue(text), FLOOR, Cache(1000) if cache is None else cache)


def event(data: dict[str, Any], subject: str = "alice", source: str = "/one", time: str = NOON) -> Event:
    return fast_form(read_event(raw(login(data, subject=subject, source=source, time=time))))


def resolved(found: Resolver, one: Event) -> tuple[str, str, date, int]:
    """Tenant, SKU, month and day."""
    slot, bit = found.cell(one).place(since_epoch(one.time), hour_of(one.time))
    return slot.tenant, slot.sku, slot.month, bit.bit_length() - 1


OCTOBER = date(2026, 10, 1)
COUNTED: list[tuple[dict[str, Any], str, str, tuple[str, str]]] = [
    ({"tenant": "a", "sku": "T"}, "alice", "/one", ("a", "T")),
    ({"tenant": "b", "sku": "T"}, "alice@a.example", "/one", ("b", "T")),  # what the event names goes before the domain
    ({"product": "Desktop"}, "alice", "/one", ("a", "T")),
    ({"product": "Desktop"}, "alice@a.example", "/two", ("b", "J")),  # and so does what the product is mapped to
    ({"product": "Desktop", "tenant": "a"}, "alice", "/one", ("a", "T")),
    ({"product": "Apps", "tenant": "b"}, "alice", "/one", ("b", "J")),
    ({"product": "Apps"}, "alice@A.Example ", "/one", ("a", "J")),
    ({"product": "Apps"}, "alice@BU\u0308RO.example", "/one", ("a", "J")),
    ({"sku": "J"}, "alice@sub.a.example", "/one", ("b", "J")),
    ({"sku": "J", "product": "Desktop"}, "alice", "/one", ("a", "J")),  # its mapping names the tenant
    ({"sku": "J", "product": "no such"}, "alice@a.example", "/one", ("a", "J")),  # a named SKU needs no mapping
]


@pytest.mark.parametrize(("data", "subject", "source", "counted"), COUNTED)
def test_tenant_and_sku_by_event_by_product_or_by_domain(
    data: dict[str, Any], subject: str, source: str, counted: tuple[str, str]
) -> None:
    assert resolved(resolver(), event(data, subject, source)) == (*counted, OCTOBER, 31)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"tenant": "c", "sku": "T"}, "alice", "unknown_tenant"),
    ({"tenant": "A", "sku": "T"}, "alice", "unknown_tenant"),
    ({"tenant": "a", "sku": "t"}, "alice", "unknown_sku"),
    ({"product": "desktop"}, "alice", "unknown_product"),
    ({"product": "Desktop", "tenant": "b"}, "alice", "tenant_conflict"),
    ({"product": "Desktop", "tenant": "c"}, "alice", "tenant_conflict"),
    ({"sku": "T", "product": "Desktop", "tenant": "b"}, "alice", "tenant_conflict"),
    ({"product": "Apps", "tenant": "c"}, "alice", "unknown_tenant"),
    ({"product": "Apps"}, "alice", "no_tenant"),
    ({"sku": "J"}, "alice@other.example", "no_tenant"),
    ({"sku": "J"}, "alice@x.a.example", "no_tenant"),
    ({"sku": "J"}, "a.example\\alice", "no_tenant"),
]


@pytest.mark.parametrize(("data", "subject", "reason"), REFUSED)
def test_what_the_catalogue_cannot_resolve(data: dict[str, Any], subject: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        resolved(resolver(), event(data, subject))
    assert refused.value.reason == reason
    assert "alice" not in refused.value.detail


EDGES = [
    ("2026-10-04T23:59:59.999999+09:00", None),
    ("2026-10-05T00:00:00+09:00", (date(2026, 10, 1), 5)),
    ("2026-10-04T15:00:00Z", (date(2026, 10, 1), 5)),
    ("2026-10-31T23:59:59.9999999+09:00", (date(2026, 10, 1), 31)),
    ("2026-11-01T00:00:00+09:00", (date(2026, 11, 1), 1)),
    ("2026-11-30T23:59:59.999999+09:00", (date(2026, 11, 1), 30)),
    ("2026-11-30T15:00:00Z", None),
]


@pytest.mark.parametrize("order", [1, -1])
def test_validity_and_month_by_the_event_s_day_in_the_programme_s_zone(order: int) -> None:
    """To the microsecond, and whatever was looked up before."""
    found = resolver()
    for time, expected in EDGES[::order] * 2:
        one = event({"tenant": "a", "sku": "T"}, time=time)
        if expected is None:
            with pytest.raises(Refusal) as refused:
                resolved(found, one)
            assert refused.value.reason == "sku_not_valid"
        else:
            assert resolved(found, one)[2:] == expected


def test_the_floor_is_a_day_in_utc() -> None:
    found = resolver()
    assert resolved(found, event({"tenant": "a", "sku": "M"}, time="1971-01-01T00:00:00Z"))[2] == date(1970, 12, 1)
    for time in ("1970-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "1969-07-20T20:17:40Z"):
        with pytest.raises(Refusal) as refused:
            resolved(found, event({"tenant": "a", "sku": "M"}, time=time))
        assert refused.value.reason == "before_floor"


@pytest.mark.parametrize(
    ("sku", "zone", "around"),
    [
        ("M", "Africa/Monrovia", "1971-12-01T00:44:30+00:00"),  # a day that begins within a quarter of an hour
        ("M", "Africa/Monrovia", "1972-01-07T00:44:30+00:00"),  # and leaves it
        ("J", "America/St_Johns", "2009-11-01T02:31:00+00:00"),  # clocks put back at 00:01, over the month's edge
        ("J", "America/St_Johns", "2008-11-02T02:31:00+00:00"),
        ("J", "America/St_Johns", "2009-03-08T03:31:00+00:00"),  # and put forward at 00:01
        ("T", "Asia/Tokyo", "2026-10-31T15:00:00+00:00"),
    ],
)
@pytest.mark.parametrize("clock", [0, 540, -150, 345, -719, 17])
def test_days_found_by_the_clock_s_hour_are_those_of_the_calendar(
    sku: str, zone: str, around: str, clock: int
) -> None:
    """In whatever offset, in minutes, the broker's clock is."""
    found, middle = resolver(), epoch_us(datetime.fromisoformat(around))
    offset = timezone(timedelta(minutes=clock))
    minutes = [middle + minute * 60_000_000 + tick for minute in range(-100, 101) for tick in (-1, 0, 30_000_000)]
    for us in minutes + minutes[::-1]:
        one = event({"tenant": "a", "sku": sku}, time=moment_of(us).astimezone(offset).isoformat())
        assert resolved(found, one)[2:] == locate(us, zone_named(zone))


def test_folding_that_changes_between_versions_has_rows_of_its_own_in_the_cache() -> None:
    cache = Cache(1000)
    folded = resolver(cache=cache)
    unfolded = resolver(CATALOGUE.replace("büro.example]}", "büro.example], fold_case: false}"), cache)
    one = event({"tenant": "a", "sku": "T"})
    (first, _), (second, _), (again, _) = (
        found.cell(one).place(since_epoch(one.time), hour_of(one.time))
        for found in (folded, unfolded, resolver(cache=cache))
    )
    assert (first.fold_case, second.fold_case) == (True, False)
    assert first is again
    assert first is not second


def test_a_look_up_is_remembered_by_what_the_event_names() -> None:
    found = resolver()
    one = event({"tenant": "a", "sku": "T"})
    assert found.cell(one) is found.cell(event({"tenant": "a", "sku": "T"}, "bob@sub.a.example", "/two"))
    assert found.cells[one.data.tenant, one.data.sku] is found.cell(one)
    assert found.cell(one).place(since_epoch(one.time), hour_of(one.time))[0].month == OCTOBER
