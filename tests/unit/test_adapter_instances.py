"""Instances by an inventory a day (CSP-23), from the file to the counted set."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from infra.errors import ConfigurationError
from producers.sources.programme import as_programme_says
from producers.sources.source import SourceOptions
from schemas.catalogue import parse_catalogue
from schemas.event import read_event
from schemas.fast import fast_form
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.moment import hour_of, since_epoch
from stream_jobs.dedup.resolve import Resolver
from tests.unit.adapted import read

CATALOGUE = parse_catalogue("""
programmes:
  csp-jp: {time_zone: Asia/Tokyo}
tenants:
  - {id: customer-a, name: A}
skus:
  - {id: ADC, name: Application delivery, programme: csp-jp, family: ADC, deployment: on-prem, unit: instance}
products:
  - {source: /adc/1, product: VPX, sku: ADC, tenant: customer-a}
rules:
  - {id: unit, kind: unit, families: [ADC], unit: instance, valid_from: 2026-01, source: CSP-23}
""")


def test_a_month_of_snapshots_is_counted_by_instance() -> None:
    """Instances come and go; every day is pushed twice; September's last day is September's, by Tokyo's clock."""
    truth: dict[str, set[str]] = {}
    counted: dict[str, set[str]] = {}
    resolver = Resolver(1, CATALOGUE, date(2020, 1, 1), Cache(1000))
    for n in range(40):
        day = date(2026, 9, 25) + timedelta(days=n)
        alive = [f"adc-{i}" for i in range(30) if i <= n <= i + 12]
        truth.setdefault(f"{day:%Y-%m}", set()).update(alive)
        table = "name,kind\n" + "".join(f"{name},VPX\n" for name in alive)
        for _ in range(2):
            found = read(
                table, "instances", date=day, zone="Asia/Tokyo", source="/adc/1",
                columns={"instance": "name", "product": "kind"},
            )  # fmt: skip
            assert len({event["id"] for event in found.events}) == len(alive)
            for event in found.events:
                login = fast_form(read_event(json.dumps(event).encode()))
                slot, bit = resolver.cell(login).place(since_epoch(login.time), hour_of(login.time))
                assert (slot.tenant, slot.sku, bit.bit_length() - 1) == ("customer-a", "ADC", day.day)
                counted.setdefault(f"{slot.month:%Y-%m}", set()).add(login.subject)
    assert counted == truth


@pytest.mark.parametrize(("table", "options", "told"), [
    ("instance\na\n", {"date": date(2026, 10, 31)}, "--zone"),
    ("instance\na\n", {"zone": "UTC", "policy": {"days": "first"}}, "write any or last"),
    ("instance\na\n", {"zone": "UTC", "columns": {"size": "a"}}, "there is no such column"),
    ("instance\na\n", {"zone": "UTC", "policy": {"up": "yes"}}, "there is no such policy"),
])  # fmt: skip
def test_options_that_do_not_fit(table: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read(table, "instances", **options)


def test_what_is_refused() -> None:
    found = read("instance,date\na,2026-10-31\n,2026-10-31\nb,soon\nc,\n", "instances", zone="UTC", sku="ADC")
    assert [event["id"] for event in found.events] == ["2026-10-31/a"]
    assert [(number, reason) for number, reason, _ in found.refused] == [
        (3, "missing_member"), (4, "bad_time"), (5, "missing_member")
    ]  # fmt: skip


TERMS = """
programmes:
  up: {time_zone: Asia/Tokyo, instances: {states: [Up, Standby], days: last}}
  all: {time_zone: Asia/Tokyo, instances: {}}
  silent: {time_zone: Europe/Berlin}
tenants: [{id: a, name: A}]
skus:
  - {id: U, name: U, programme: up, family: f, deployment: on-prem, unit: instance}
  - {id: A, name: A, programme: all, family: f, deployment: on-prem, unit: instance}
  - {id: S, name: S, programme: silent, family: f, deployment: on-prem, unit: instance}
products:
  - {source: /up, product: VPX, sku: U}
  - {source: /both, product: VPX, sku: U}
  - {source: /both, product: MPX, sku: S}
"""
LISTED = "instance,product,state,date\n" + "".join(
    f"adc-{state}-{day},VPX,{state},2026-10-{day}\n" for day in (30, 31) for state in ("Up", "standby", "Down")
)


@pytest.mark.parametrize(("given", "zone", "counted"), [
    ({"source": "/up"}, "Asia/Tokyo", ["adc-Up-31", "adc-standby-31"]),
    ({"sku": "U", "zone": "Asia/Tokyo", "policy": {"days": "last"}}, "Asia/Tokyo", ["adc-Up-31", "adc-standby-31"]),
    ({"sku": "A"}, "Asia/Tokyo", [f"adc-{state}-{day}" for day in (30, 31) for state in ("Up", "standby", "Down")]),
    ({"sku": "S", "policy": {"active": "Down"}}, "Europe/Berlin", ["adc-Down-30", "adc-Down-31"]),
    ({"source": "/unknown", "zone": "UTC", "policy": {"days": "last", "active": "Up"}}, "UTC", ["adc-Up-31"]),
])  # fmt: skip
def test_the_programme_says_which_instances_are_active(given: dict[str, Any], zone: str, counted: list[str]) -> None:
    options = as_programme_says(SourceOptions("instances", **given), parse_catalogue(TERMS))
    assert options.zone == zone
    found = read(LISTED, "instances", zone=zone, policy=options.policy, sku="U")
    assert found.users == counted
    assert sum(found.not_logins.values()) == 6 - len(counted)


@pytest.mark.parametrize(("given", "told"), [
    ({"source": "/up", "zone": "UTC"}, "--zone UTC: its programme counts in Asia/Tokyo"),
    ({"source": "/up", "policy": {"active": "Down"}}, "its programme says Up\\+Standby"),
    ({"sku": "A", "policy": {"active": "Up"}}, "its programme says all of them"),
    ({"source": "/both"}, "/both feeds silent and up"),
])  # fmt: skip
def test_what_contradicts_the_programme_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        as_programme_says(SourceOptions("instances", **given), parse_catalogue(TERMS))
