"""The simulated brokers: valid, repeatable, as hard as they say, and their truth held by another reckoning."""

from __future__ import annotations

import json
import time
import unicodedata
from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from examples.brokers import CATALOGUE, Truth, last_month_and_this, simulate
from schemas.catalogue import parse_catalogue
from schemas.event import read_event

MONTHS = [date(2026, 9, 1), date(2026, 10, 1)]
UNTIL = datetime(2026, 10, 20, 12, 0, tzinfo=UTC)


def test_the_truth_is_what_the_events_say() -> None:
    """Reckoned the other way round: from bytes to canonical subject, by the catalogue."""
    catalogue = parse_catalogue(CATALOGUE)
    products = {(p.source, p.product): p for p in catalogue.products}
    domains = {domain: t.id for t in catalogue.tenants for domain in t.domains}
    folds = {t.id: t.fold_case for t in catalogue.tenants}
    zones = {s.id: ZoneInfo(catalogue.programmes[s.programme].time_zone) for s in catalogue.skus}
    simulation = simulate(7, MONTHS, UNTIL, users=2000, logins=8000)
    counted: Truth = {}
    for raw in simulation.events:
        event = read_event(raw)
        product = products.get((event.source, event.data.product or ""))
        sku = event.data.sku or (product.sku if product else "")
        tenant = event.data.tenant or (product and product.tenant)
        tenant = tenant or domains[event.subject.strip().rpartition("@")[2].lower()]
        name = unicodedata.normalize("NFC", event.subject).strip()
        name = unicodedata.normalize("NFC", name.casefold()) if folds[tenant] else name
        month = event.time.astimezone(zones[sku]).strftime("%Y-%m")
        counted.setdefault((month, tenant, sku), set()).add(name)
    assert counted == simulation.truth


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second, other = (simulate(seed, MONTHS, UNTIL, users=100, logins=500) for seed in (1, 1, 2))
    assert first == second
    assert first.events != other.events


def test_it_is_as_hard_as_it_says() -> None:
    simulation = simulate(3, MONTHS, UNTIL, users=3000, logins=10_000)
    events = [json.loads(raw) for raw in simulation.events]
    assert 0.27 < 1 - 10_000 / len(events) < 0.33
    assert sum(count - 1 for count in Counter(simulation.events).values()) > 0.1 * len(events), "exact repeats"
    assert {e["source"] for e in events} == {"/citrix/tokyo-1", "/avd/frankfurt-1", "/horizon/newyork-1"}
    times = [datetime.fromisoformat(e["time"]) for e in events]
    assert max(times) <= UNTIL
    late = [max(times[: n + 1]) - moment for n, moment in enumerate(times[:2000])]
    assert max(late).total_seconds() > 12 * 3600
    assert max(late).total_seconds() < 48 * 3600 + 5
    instants = {moment.timestamp() for moment in times}
    assert datetime(2026, 9, 1, tzinfo=ZoneInfo("Asia/Tokyo")).timestamp() in instants
    assert any(e["time"].endswith("59.999999+02:00") for e in events)
    subjects = {e["subject"] for e in events}
    assert len(subjects) > 1.5 * len({name for names in simulation.truth.values() for name in names})
    assert {tenant for _, tenant, _ in simulation.truth} == {"customer-a", "customer-b", "customer-c", "customer-d"}
    assert len(simulation.truth) >= 16
    exact = simulation.truth["2026-09", "customer-c", "VDA-ONPREM"]
    assert len({name.lower() for name in exact}) < len(exact), "names that differ by case alone"


def test_a_hundred_thousand_events_take_seconds() -> None:
    begun = time.process_time()
    simulation = simulate(1, last_month_and_this(UNTIL), UNTIL, users=30_000, logins=70_000)
    assert len(simulation.events) > 95_000
    assert time.process_time() - begun < 20, "2 s on a quiet machine"


def test_months_that_have_not_begun() -> None:
    with pytest.raises(ValueError, match="no month has begun"):
        simulate(1, [date(2027, 1, 1)], UNTIL)
    early = datetime(2026, 9, 30, 16, 0, tzinfo=UTC)  # October in Tokyo, not yet in Berlin
    simulation = simulate(1, MONTHS, early, users=500, logins=2000)
    assert {(month, sku) for month, _, sku in simulation.truth if month == "2026-10"} <= {
        ("2026-10", sku) for sku in ("DAAS-PREM-T1", "DAAS-STD-T1", "VDA-ONPREM")
    }


def test_last_month_and_this() -> None:
    assert last_month_and_this(datetime(2026, 1, 1, tzinfo=UTC)) == [date(2025, 12, 1), date(2026, 1, 1)]
