"""Decisions 1 and 2: whatever the order, repetition, cutting, packing or cache, the joined rows are the same.

Two references. `join` does what ClickHouse does with the rows of `active_users`: it joins each column. `oracle` knows
the log alone, and neither fold nor cache: it reads event after event by the contracts.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.keyring import FIRST, Keys
from infra.pseudonyms import MonthlyPseudonyms
from schemas.calendar import day_start, epoch_us, locate, zone_named
from schemas.catalogue import Catalogue, parse_catalogue
from schemas.control import ControlRecord, read_control
from schemas.event import read_event
from schemas.identity import canonical
from schemas.quarantine import Refusal
from stream_jobs.dedup import rows
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.fold import RUN, Folded, Folder
from stream_jobs.dedup.moment import first_minute
from stream_jobs.dedup.resolve import Resolver
from tests.unit.logins import CONTROL, NOW_MS, PACKED, STRUCTURED, TOPIC_ID, Kept, batch, control, law, login, raw

PSEUDONYMS = MonthlyPseudonyms(Keys({FIRST: b"k" * 32}))
FLOOR = date(2020, 1, 1)
TOLERANCE = 600.0

CATALOGUES = {
    1: parse_catalogue("""
        programmes:
          east: {time_zone: Asia/Tokyo}
          west: {time_zone: America/St_Johns}
        tenants:
          - {id: a, name: A, domains: [a.example, bücher.example]}
          - {id: b, name: B, fold_case: false}
        skus:
          - {id: E, name: E, programme: east, family: f, deployment: cloud, valid_from: 2026-10-05}
          - {id: W, name: W, programme: west, family: f, deployment: on-prem, valid_to: 2026-11}
        products:
          - {source: /one, product: Desktop, sku: E, tenant: a}
          - {source: /one, product: Apps, sku: W}
        """),
    2: parse_catalogue("""
        programmes:
          west: {time_zone: Europe/London}
        tenants:
          - {id: a, name: A}
          - {id: b, name: B, domains: [a.example]}
          - {id: c, name: C}
        skus:
          - {id: E, name: E, programme: west, family: f, deployment: cloud}
          - {id: W, name: W, programme: west, family: f, deployment: on-prem}
        products:
          - {source: /one, product: Desktop, sku: W, tenant: b}
        """),
}

Key = tuple[date, str, str, bytes]
Row = tuple[tuple[int, str, str], int, int]
Entry = bytes | ControlRecord
Log = list[list[Entry]]
"""What stands in each partition, one after the other."""


class Outcome(NamedTuple):
    rows: dict[Key, Row]
    refused: set[tuple[bytes, str]]
    """The bytes that are set aside, and why."""


def join(stored: dict[Key, Row], key: Key, row: Row) -> None:
    if (old := stored.get(key)) is not None:
        row = min(old[0], row[0]), old[1] | row[1], min(old[2], row[2])
    stored[key] = row


# The oracle


def oracle(log: Log) -> Outcome:
    found = Outcome({}, set())
    for entries in log:
        version, close = 1, 0
        for entry in entries:
            if isinstance(entry, bytes):
                try:
                    key, first, days = judged(entry, CATALOGUES[version])
                    join(found.rows, key, (first, days, close))
                except Refusal as refusal:
                    found.refused.add((entry, refusal.reason))
            elif entry.kind == "close":
                close = max(close, entry.number)
            else:
                version = max(version, entry.number)
    return found


def judged(one: bytes, catalogue: Catalogue) -> tuple[Key, tuple[int, str, str], int]:
    """What an event counts for: its row's key, first event and day."""
    if not one:
        raise Refusal("empty", "")
    event = read_event(one)
    sku_id, tenant_id = event.data.sku, event.data.tenant
    if sku_id is None:
        mapped = [p for p in catalogue.products if (p.source, p.product) == (event.source, event.data.product)]
        if not mapped:
            raise Refusal("unknown_product", "")
        sku_id, owner = mapped[0].sku, mapped[0].tenant
        if owner and tenant_id and owner != tenant_id:
            raise Refusal("tenant_conflict", "")
        tenant_id = owner or tenant_id
    if tenant_id is None:
        name = canonical(event.subject)
        owners = [t.id for t in catalogue.tenants for d in t.domains if name.endswith(f"@{canonical(d)}")]
        if not owners:
            raise Refusal("no_tenant", "")
        tenant_id = owners[0]
    tenant = next((t for t in catalogue.tenants if t.id == tenant_id), None)
    if tenant is None:
        raise Refusal("unknown_tenant", "")
    sku = next((s for s in catalogue.skus if s.id == sku_id), None)
    if sku is None:
        raise Refusal("unknown_sku", "")
    us = epoch_us(event.time)
    if us > NOW_MS * 1000 + TOLERANCE * 1e6:
        raise Refusal("in_the_future", "")
    if us < day_start(FLOOR, zone_named("UTC")):
        raise Refusal("before_floor", "")
    month, day = locate(us, zone_named(catalogue.programmes[sku.programme].time_zone))
    today = month + timedelta(days=day - 1)
    if (sku.valid_from and today < sku.valid_from) or (sku.valid_to and today >= sku.valid_to):
        raise Refusal("sku_not_valid", "")
    subject = PSEUDONYMS.first.of(tenant.id, canonical(event.subject, tenant.fold_case))
    return (month, tenant.id, sku.id, subject), (us, event.source, event.id), 1 << day


# The worker


class Worker:
    """The real fold, cache and rows; only the sink is a dictionary that joins."""

    def __init__(self, cache_entries: int) -> None:
        self.cache = Cache(cache_entries)
        self.resolvers = {v: Resolver(v, c, FLOOR, self.cache) for v, c in CATALOGUES.items()}

    def store(self, records: list[Kept], begin: int, end: int, into: Outcome, learn: bool = True) -> Folded:
        """Stores the records from `begin` to `end` of a partition, and learns what was stored."""
        before = [read_control(record.value) for record in records[:begin] if record.headers == CONTROL]
        version = max([1, *(c.number for c in before if c.kind == "catalogue")])
        close = max([0, *(c.number for c in before if c.kind == "close")])
        folder = Folder(TOPIC_ID, TOLERANCE, self.resolvers.__getitem__, version, close)
        folded = folder.fold(batch(records[begin:end]))
        for block in rows.blocks(folded, TOPIC_ID, 0, PSEUDONYMS, self.cache):
            if block.table == "active_users":
                for month, tenant, sku, subject, *row in zip(*block.columns, strict=True):
                    join(into.rows, (month, tenant, sku, subject), (row[0], row[1], row[2]))
        into.refused.update((refused.raw, refused.refusal.reason) for refused in folded.refused)
        if learn:
            rows.learn(folded, self.cache)
        return folded


UNPACKABLE = (b"", b"{")
"""What is no element of an array, or would make the whole array unreadable."""


def packed(entries: list[Entry], dice: random.Random, most: int) -> list[Kept]:
    """A partition's entries as records: alone or in arrays, with the headers that may be left out or not."""
    records: list[Kept] = []
    at = 0
    while at < len(entries):
        entry, size = entries[at], dice.randint(1, most)
        if not isinstance(entry, bytes):
            records.append(control(len(records), entry.kind, entry.number))
            at += 1
            continue
        several = [entry]
        for other in entries[at + 1 : at + size]:
            if not isinstance(other, bytes) or other in UNPACKABLE or entry in UNPACKABLE:
                break
            several.append(other)
        at += len(several)
        if entry in UNPACKABLE or (len(several) == 1 and dice.random() < 0.8):
            records.append(Kept(len(records), entry, dice.choice([(), STRUCTURED])))
        else:
            records.append(Kept(len(records), b"[" + b",".join(several) + b"]", dice.choice([(), PACKED])))
    return records


# Logs

USERS = [
    "alice@a.example", "ALICE@a.example ", "bob", "Bob", "jos\u00e9@bücher.example", "Jose\u0301@BU\u0308cher.example",
]  # fmt: skip
TIMES = [
    "2026-10-31T12:00:00+09:00", "2026-10-31T03:00:00Z", "2026-10-31T12:00:00.000001+09:00",
    "2026-10-04T23:59:59.999999+09:00", "2026-10-05T00:00:00+09:00", "2026-10-06T12:00:00.5+09:00",
    "2026-10-31T23:59:59.9999999+09:00",
    "2026-11-01T00:00:00+09:00", "2026-10-31T23:59:59.999999-02:30", "2026-11-01T00:00:00-02:30",
    "2026-11-01T02:36:40Z", "2026-11-01T02:36:40.000001Z", "2019-12-31T23:59:59.999999Z", "2020-01-01T00:00:00Z",
    "2024-02-29T12:00:00Z", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59.999999-09:00",
]  # fmt: skip
DATAS: list[dict[str, Any]] = [
    {"tenant": "a", "sku": "E"}, {"tenant": "a", "sku": "W"}, {"tenant": "b", "sku": "E"}, {"tenant": "c", "sku": "E"},
    {"sku": "E"}, {"product": "Desktop"}, {"product": "Desktop", "tenant": "b"}, {"product": "Apps", "tenant": "b"},
    {"product": "Apps"}, {"product": "None"}, {"tenant": "a", "sku": "X"},
]  # fmt: skip
BAD = [*UNPACKABLE, b"5", b"tru", b'{"specversion":"1.0"}', raw(login(subject=" ")), b'{"a":1,"a":1}']
CHANGES = [ControlRecord(kind="catalogue", number=n) for n in (1, 2)]
CHANGES += [ControlRecord(kind="close", number=n) for n in (1, 2, 3)]


def log_of(sizes: list[int], dice: random.Random) -> Log:
    """Partitions of these sizes, about few users, times and products, so that the same rows meet again and again."""
    users, times = dice.sample(USERS, dice.randint(1, 4)), dice.sample(TIMES, dice.randint(2, 6))
    datas = [*dice.sample(DATAS[:3], dice.randint(1, 2)), *dice.sample(DATAS, dice.randint(0, 3))]

    def entry() -> Entry:
        kind = dice.random()
        if kind < 0.08:
            return dice.choice(CHANGES)
        if kind < 0.14:
            return dice.choice(BAD)
        source, number = dice.choice(["/one", "/two"]), dice.choice("12")
        time, subject = dice.choice(times), dice.choice(users)
        return raw(login(dice.choice(datas), subject=subject, time=time, source=source, id=number))

    return [[entry() for _ in range(size)] for size in sizes]


@st.composite
def logs(draw: st.DrawFn) -> tuple[Log, random.Random]:
    """A log, and the dice for all that may be done to it; sizes shrink when a law fails."""
    dice = random.Random(draw(st.integers(0, 1 << 40)))
    return log_of(draw(st.lists(st.integers(0, 40), min_size=1, max_size=3)), dice), dice


def reordered(entries: list[Entry], dice: random.Random) -> list[Entry]:
    """The same log as far as a count may tell: events between two control records in any order, some repeated."""
    moved: list[Entry] = []
    segment: list[Entry] = []
    for entry in [*entries, None]:
        if isinstance(entry, bytes):
            segment += [entry] * dice.choice([1, 1, 2])
        else:
            dice.shuffle(segment)
            moved += segment
            segment.clear()
            if entry is not None:
                moved.append(entry)
    return moved


@law(250)
@given(logs())
def test_any_order_repetition_cutting_packing_and_cache_give_the_oracle_s_rows(case: tuple[Log, random.Random]) -> None:
    log, dice = case
    expected = oracle(log)
    for _ in range(3):
        stored = Outcome({}, set())
        partitions = [packed(reordered(entries, dice), dice, dice.choice([1, 2, 5])) for entries in log]
        workers = [Worker(dice.choice([1, 2, 5, 1000, 1000])) for _ in range(2)]
        deliveries = []
        for records in partitions:
            cuts = sorted({0, len(records), *(dice.randint(0, len(records)) for _ in range(6))})
            deliveries += [(records, begin, end) for begin, end in pairwise(cuts)]
            if records:  # and some of it again: a crash, a rebalance, a reset
                begin = dice.randrange(len(records))
                deliveries.append((records, begin, dice.randint(begin + 1, len(records))))
        dice.shuffle(deliveries)
        for records, begin, end in deliveries:
            dice.choice(workers).store(records, begin, end, stored, learn=dice.random() < 0.8)
        assert stored.rows == expected.rows
        assert stored.refused == expected.refused


@law(60)
@given(logs())
def test_each_event_is_told_of_once(case: tuple[Log, random.Random]) -> None:
    """Counted by its source or set aside under a place of its own; the control records are told of too."""
    log, dice = case
    worker = Worker(1000)
    for entries in log:
        records = packed(entries, dice, 3)
        if records:
            folded = worker.store(records, 0, len(records), Outcome({}, set()))
            events = [entry for entry in entries if isinstance(entry, bytes)]
            assert sum(folded.events().values()) + len(folded.refused) == len(events)
            assert len({refused.origin for refused in folded.refused}) == len(folded.refused)
            assert [c.record for c in folded.controls] == [e for e in entries if isinstance(e, ControlRecord)]
            heard = map(read_event, Counter(events) - Counter(refused.raw for refused in folded.refused))
            assert {(source, first_minute(hour)) for source, hours in folded.heard.items() for hour in hours} == {
                (one.source, epoch_us(one.time) // 60_000_000 - one.time.minute) for one in heard
            }


def test_what_is_stored_and_remembered_is_not_written_again() -> None:
    day = {"data": {"tenant": "a", "sku": "E"}}
    first = [raw(login(**day, subject=f"user {n}", time="2026-10-31T08:00:00+09:00")) for n in range(50)]
    later = [raw(login(**day, subject=f"user {n}", time="2026-10-31T20:00:00+09:00")) for n in range(50)]
    worker, dice = Worker(1000), random.Random(1)
    records = packed([*first, *later, ControlRecord(kind="close", number=1), *later], dice, 10)
    assert len(worker.store(records, 0, len(records), Outcome({}, set())).rows) == 1
    afterwards = packed([*later, ControlRecord(kind="close", number=2), *later], dice, 10)
    assert not worker.store(afterwards, 0, len(afterwards), Outcome({}, set())).rows


@pytest.mark.parametrize("odd", [*BAD, *CHANGES], ids=repr)
@pytest.mark.parametrize("at", [0, 1, RUN - 1, RUN, RUN + 5])
def test_one_odd_record_in_a_run_costs_no_neighbour(at: int, odd: Entry) -> None:
    day = {"data": {"tenant": "a", "sku": "E"}, "time": "2026-10-31T12:00:00Z"}
    entries: list[Entry] = [raw(login(**day, subject=f"user {n}")) for n in range(RUN + 5)]
    entries.insert(at, odd)
    records, stored = packed(entries, random.Random(1), 1), Outcome({}, set())
    Worker(1000).store(records, 0, len(records), stored)
    assert stored == oracle([entries])


def test_the_future_begins_behind_each_record_s_own_append_time() -> None:
    event = raw(login({"tenant": "a", "sku": "E"}, time="2026-11-01T02:36:40Z"))  # NOW_MS and the tolerance
    appended = [NOW_MS, NOW_MS - 1, NOW_MS + 1]
    worker, stored = Worker(1000), Outcome({}, set())
    for value, headers in ((event, ()), (b"[" + event + b"]", PACKED)):
        records = [Kept(offset, value, headers, timestamp) for offset, timestamp in enumerate(appended)]
        folded = worker.store(records, 0, 3, stored)
        assert [refused.origin.offset for refused in folded.refused] == [1]
