"""Three session brokers, simulated: their events as Kafka would get them, and the truth that must be counted.

Seeded and pure: the same arguments give the same bytes. The truth is known by construction, since every
spelling is made from its canonical form and every time from its month; no code of Rollcall's takes part.

What makes it hard, all of it on purpose: three sources in three zones, two programmes whose months begin at
other instants; SKUs named outright, by product, or with the tenant only in the user's domain; about 30 % of the
events a second telling of a login (the same bytes again, or another broker's view of it under another id);
spellings that differ in case, Unicode form and spaces around; a tenant whose names differ by case; a broker
that counts its ids from 1 every month; events up to 48 hours late, in disorder around the ends of months; logins
in the first and the last microsecond of a month.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

Truth = dict[tuple[str, str, str], set[str]]
"""(month as YYYY-MM, tenant, SKU) -> canonical subjects."""

CATALOGUE = """\
# The simulated service provider: two programmes, four customers, five SKUs, three session brokers.

programmes:
  citrix-csp:
    time_zone: Asia/Tokyo
    report_due_day: 10
    settle_days: 3
  hosting:
    time_zone: Europe/Berlin

tenants:
  - id: customer-a
    name: Customer A K.K.
    domains: [customer-a.example]
  - id: customer-b
    name: Customer B GmbH
    domains: [customer-b.example, b-group.example]
  - id: customer-c
    name: Customer C Inc.
    fold_case: false
  - id: customer-d
    name: Customer D S.A.

skus:
  - {id: DAAS-PREM-T1, name: "DaaS Premium, tier 1", programme: citrix-csp, family: DaaS, deployment: cloud, tier: 1}
  - {id: DAAS-STD-T1, name: "DaaS Standard, tier 1", programme: citrix-csp, family: DaaS, deployment: cloud, tier: 1}
  - {id: VDA-ONPREM, name: Virtual Apps on premises, programme: citrix-csp, family: VAD, deployment: on-prem}
  - {id: HOSTED-DESKTOP, name: Hosted desktop, programme: hosting, family: Desktop, deployment: cloud}
  - {id: HOSTED-KIOSK, name: Hosted kiosk, programme: hosting, family: Desktop, deployment: cloud, unit: instance}

products:
  - {source: /citrix/tokyo-1, product: Finance Desktop, sku: DAAS-PREM-T1, tenant: customer-a}
  - {source: /citrix/tokyo-1, product: Office Desktop, sku: DAAS-STD-T1}
  - {source: /avd/frankfurt-1, product: pool-7, sku: HOSTED-DESKTOP}
  - {source: /avd/frankfurt-1, product: lobby, sku: HOSTED-KIOSK, tenant: customer-d}
  - {source: /horizon/newyork-1, product: Apps, sku: VDA-ONPREM}
"""

SOURCES = {
    "/citrix/tokyo-1": ZoneInfo("Asia/Tokyo"),
    "/avd/frankfurt-1": ZoneInfo("Europe/Berlin"),
    "/horizon/newyork-1": ZoneInfo("America/New_York"),
}
_ZONE_OF_SKU = {
    "DAAS-PREM-T1": ZoneInfo("Asia/Tokyo"), "DAAS-STD-T1": ZoneInfo("Asia/Tokyo"),
    "VDA-ONPREM": ZoneInfo("Asia/Tokyo"), "HOSTED-DESKTOP": ZoneInfo("Europe/Berlin"),
    "HOSTED-KIOSK": ZoneInfo("Europe/Berlin"),
}
# How a broker names what was logged in to: (source, SKU, data). {} in a tenant's place: the login's own.
_WAYS: dict[str, list[tuple[str, str, str]]] = {
    "customer-a": [
        ("/citrix/tokyo-1", "DAAS-PREM-T1", '{"product":"Finance Desktop"}'),
        ("/citrix/tokyo-1", "DAAS-STD-T1", '{"product":"Office Desktop"}'),  # tenant: by the user's domain
        ("/horizon/newyork-1", "VDA-ONPREM", '{"tenant":"customer-a","product":"Apps"}'),
    ],
    "customer-b": [
        ("/avd/frankfurt-1", "HOSTED-DESKTOP", '{"product":"pool-7","session":{"host":"vm-7","new":true}}'),
        ("/citrix/tokyo-1", "DAAS-STD-T1", '{"tenant":"customer-b","sku":"DAAS-STD-T1"}'),
    ],
    "customer-c": [
        ("/horizon/newyork-1", "VDA-ONPREM", '{"tenant":"customer-c","product":"Apps"}'),
        ("/citrix/tokyo-1", "DAAS-PREM-T1", '{"tenant":"customer-c","sku":"DAAS-PREM-T1"}'),
    ],
    "customer-d": [
        ("/avd/frankfurt-1", "HOSTED-KIOSK", '{"product":"lobby"}'),
        ("/avd/frankfurt-1", "HOSTED-DESKTOP", '{"tenant":"customer-d","product":"pool-7"}'),
    ],
}
_DOMAINS = {
    "customer-a": ["customer-a.example"], "customer-b": ["customer-b.example", "b-group.example"],
    "customer-c": ["customer-c.example"], "customer-d": ["customer-d.example"],
}
# Account names by canonical form, with spellings that case folding and NFC make one.
_FOLDED: list[tuple[str, list[str]]] = [
    ("user", ["user", "User", "USER"]),
    ("agent", ["agent", "Agent", "AGENT"]),
    ("café", ["café", "cafe\u0301", "CAFÉ", "CAFE\u0301"]),
    ("strasse", ["straße", "Straße", "STRASSE", "STRAẞE", "strasse"]),
    ("οδοσ", ["οδος", "ΟΔΟΣ", "οδοσ"]),
    ("ガイド", ["ガイド", "カ\u3099イト\u3099"]),
]
# The same for a tenant whose names differ by case: only the Unicode form may vary.
_EXACT: list[tuple[str, list[str]]] = [
    ("user", ["user"]), ("User", ["User"]), ("Größe", ["Größe", "Gro\u0308ße"]), ("größe", ["größe", "gro\u0308ße"]),
]
_AROUND = [("", ""), ("", ""), ("", ""), ("", ""), (" ", ""), ("", "  "), ("\u3000", ""), ("", "\u00a0")]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = 3_600_000_000  # microseconds


@dataclass(frozen=True)
class Simulation:
    """Events in the order of their delivery, each the bytes of one CloudEvent, and what they must count to."""

    catalogue: str
    events: list[bytes]
    truth: Truth


@dataclass(frozen=True, slots=True)
class _User:
    tenant: str
    canonical: str
    spellings: list[str]  # JSON strings
    ways: list[tuple[str, str, str]]


def simulate(
    seed: int, months: Sequence[date], until: datetime, *, users: int = 30_000, logins: int = 100_000
) -> Simulation:
    """`logins` logins of `users` users, spread over the months (their first days), none later than `until` (aware).

    About 30 % of the events are told again, so there are about 1.43 × `logins` of them. ValueError if no month
    has begun by `until`.
    """
    rng = Random(seed)
    people = [_user(rng, number) for number in range(users)]
    last = (until - _EPOCH) // timedelta(microseconds=1)
    spans = {
        (zone, month): (_start(month, zone), min(_start(_next(month), zone), last + 1))
        for zone in set(_ZONE_OF_SKU.values())
        for month in months
    }
    if not months or all(start >= end for start, end in spans.values()):
        raise ValueError("no month has begun")
    counters: dict[tuple[str, date], int] = {}
    delivered: list[tuple[int, int, bytes]] = []
    truth: Truth = {}

    def deliver(at: int, event: bytes, *, near_an_end: bool) -> None:
        delay = rng.randrange(5_000_000)
        if rng.random() < 0.03:
            delay = rng.randrange(48 * _HOUR)
        elif near_an_end:
            delay = rng.randrange(6 * _HOUR)
        delivered.append((at + delay, len(delivered), event))

    while len(truth) == 0 or logins > 0:
        logins -= 1
        user, month = people[int(users * rng.random() ** 1.5)], rng.choice(months)
        source, sku, data = rng.choice(user.ways)
        start, end = spans[_ZONE_OF_SKU[sku], month]
        if start >= end:
            continue
        at = _instant(rng, start, end)
        near_an_end = end - at < 24 * _HOUR or at - start < 24 * _HOUR
        event = _event(rng, source, month, at, rng.choice(user.spellings), data, counters)
        deliver(at, event, near_an_end=near_an_end)
        truth.setdefault((f"{month:%Y-%m}", user.tenant, sku), set()).add(user.canonical)
        again = rng.random()
        if again < 0.21:  # the same bytes
            deliver(at, event, near_an_end=near_an_end)
        elif again < 0.43:  # as another broker saw it
            other = rng.choice([name for name in SOURCES if name != source])
            named = f'{{"tenant":"{user.tenant}","sku":"{sku}"}}'
            event = _event(rng, other, month, at, rng.choice(user.spellings), named, counters)
            deliver(at, event, near_an_end=near_an_end)
    delivered.sort()
    return Simulation(CATALOGUE, [event for _, _, event in delivered], truth)


def _user(rng: Random, number: int) -> _User:
    tenant = rng.choices(list(_WAYS), (5, 3, 2, 1))[0]
    kinds, weights = (_EXACT, (4, 3, 2, 2)) if tenant == "customer-c" else (_FOLDED, (12, 6, 2, 2, 1, 2))
    canonical, words = rng.choices(kinds, weights)[0]
    domain = rng.choice(_DOMAINS[tenant])
    # Two users in a row share their number: for customer C, user00008 and User00008 can both exist.
    rest = f"{number // 2:05d}.{number % 2}@{domain}" if tenant != "customer-c" else f"{number // 2:05d}@{domain}"
    spellings = [
        json.dumps(f"{before}{word}{rest}{after}", ensure_ascii=rng.random() < 0.5)
        for word in words
        for before, after in rng.sample(_AROUND, 2)
    ]
    ways = rng.sample(_WAYS[tenant], rng.choice((1, 1, 2)))
    return _User(tenant, canonical + rest, spellings, ways)


def _instant(rng: Random, start: int, end: int) -> int:
    """Epoch microseconds in [start, end): mostly anywhere, often near the ends, sometimes on them."""
    kind = rng.random()
    if kind < 0.005:
        return start
    if kind < 0.01:
        return end - 1
    if kind < 0.06:
        return start + rng.randrange(min(2 * _HOUR, end - start))
    if kind < 0.11:
        return end - 1 - rng.randrange(min(2 * _HOUR, end - start))
    return start + rng.randrange(end - start)


def _event(
    rng: Random, source: str, month: date, at: int, subject: str, data: str, counters: dict[tuple[str, date], int]
) -> bytes:
    if source == "/horizon/newyork-1":  # counts from 1 every month
        counters[source, month] = number = counters.get((source, month), 0) + 1
        identity = str(number)
    else:
        identity = f"{rng.getrandbits(64):016x}"
    moment = (_EPOCH + timedelta(microseconds=at)).astimezone(SOURCES[source]).isoformat()
    return (
        f'{{"specversion":"1.0","id":"{identity}","source":"{source}","type":"rollcall.login.v1",'
        f'"time":"{moment}","subject":{subject},"data":{data}}}'
    ).encode()


def _start(month: date, zone: ZoneInfo) -> int:
    return (datetime(month.year, month.month, 1, tzinfo=zone) - _EPOCH) // timedelta(microseconds=1)


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def last_month_and_this(until: datetime) -> list[date]:
    """The first days of the month before `until` (aware) and of its own, in UTC."""
    this = until.astimezone(UTC).date().replace(day=1)
    return [(this - timedelta(days=1)).replace(day=1), this]


def ndjson(events: Sequence[bytes]) -> Iterator[bytes]:
    """The events as lines of a file that `rollcall push` takes."""
    return (event + b"\n" for event in events)
