"""Instances by an inventory a day (CSP-23), from the file to the counted set."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from infra.errors import ConfigurationError
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
