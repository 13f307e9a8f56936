"""The simulated provider: three agreements, forty tenants, and everything that reached Kafka in a year, hour by hour.

2024 has a 29 February. All of it lies in the past of any machine's clock, as a close needs it. Nothing here is drawn
from a clock: the same seed gives the same year.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import yaml

YEAR = 2024
MONTHS = [date(YEAR, m, 1) for m in range(1, 13)]
BEGIN, END = datetime(YEAR, 1, 1, tzinfo=UTC), datetime(YEAR + 1, 1, 25, tzinfo=UTC)
"""The hours that are walked: until the last report is long done."""


class Side(NamedTuple):
    """One agreement: its programme, zone, tenants, and how many people use it."""

    id: str
    programme: str
    zone: str
    tenants: range
    users: tuple[int, int]
    settle_days: int


SIDES = [
    Side("jp-2024", "csp-jp", "Asia/Tokyo", range(1, 15), (3, 6), 3),
    Side("nl-2024", "csp-nl", "Europe/Amsterdam", range(15, 28), (1, 2), 3),
    Side("us-2024", "csp-us", "America/New_York", range(28, 41), (2, 5), 4),
]
ZERO = ("us-2024", date(YEAR, 2, 1))
"""Nobody logs in to anything of this agreement in this month."""
UNCOVERED = ("nl-2024", date(YEAR, 4, 1))
"""An excluded user's login on a day that the exclusion does not cover comes in behind the draft."""
CORRECTED = ("jp-2024", date(YEAR, 3, 1))
"""Logins of it come in when its report has long been sent."""
REJECTED = ("nl-2024", date(YEAR, 6, 1))
"""The distributor refuses its first revision."""
AFTER_THE_DRAFT = [("nl-2024", date(YEAR, m, 1)) for m in (1, 4, 8, 12)] + [
    ("us-2024", date(YEAR, m, 1)) for m in (3, 5, 9)
]
"""Logins of these come in on the day of the draft, behind its close."""


class Login(NamedTuple):
    time: datetime
    source: str
    id: str
    subject: str
    tenant: str
    sku: str

    def event(self, zone: ZoneInfo | None = None) -> dict[str, Any]:
        """The CloudEvent, its time in this zone's offset."""
        return {
            "specversion": "1.0", "id": self.id, "source": self.source, "type": "rollcall.login.v1",
            "time": self.time.astimezone(zone or UTC).isoformat(timespec="microseconds"), "subject": self.subject,
            "data": {"tenant": self.tenant, "sku": self.sku},
        }  # fmt: skip


class Arrival(NamedTuple):
    """Logins that Kafka has acknowledged when this hour begins."""

    hour: datetime
    logins: list[Login]
    behind: bool = False
    """Their month has been counted by then."""


def tenant(number: int) -> str:
    return f"t{number:02}"


def skus(side: Side) -> list[dict[str, Any]]:
    short = side.programme.removeprefix("csp-").upper()
    common = {"programme": side.programme}
    cloud, own = {"deployment": "cloud", **common}, {"deployment": "on-prem", **common}
    found = [
        {"id": f"{short}-DAAS-PREM", "name": "DaaS Premium", "family": "DaaS", **cloud},
        {"id": f"{short}-DAAS-STD", "name": "DaaS Standard", "family": "DaaS", **cloud},
        {"id": f"{short}-CVAD", "name": "Virtual Apps and Desktops", "family": "CVAD", **own},
        {"id": f"{short}-ADC", "name": "ADC VPX", "family": "ADC", "unit": "instance", **own},
    ]
    if short == "JP":
        found[1]["valid_to"] = f"{YEAR}-07-01"  # sold until the end of June
    if short == "US":
        found.append({"id": "US-ENDPOINT", "name": "Endpoint", "family": "Endpoint", **cloud})
    return found


def catalogue(agreements: dict[str, dict[str, Any]]) -> str:
    """The catalogue as YAML; `agreements` adds to each agreement how it is approved and sent."""
    return yaml.safe_dump(
        {
            "programmes": {s.programme: {"time_zone": s.zone, "settle_days": s.settle_days} for s in SIDES},
            "tenants": [
                {"id": tenant(n), "name": f"Customer {n}", "domains": [f"{tenant(n)}.example"]} for n in range(1, 41)
            ],
            "skus": [sku for side in SIDES for sku in skus(side)],
            "agreements": [
                {
                    "id": s.id, "programme": s.programme, "contract_date": f"{YEAR}-01-01",
                    "partner": {"name": "Example Hosting"}, "distributor": {"name": f"Distributor {s.zone}"},
                    "contacts": [
                        {"name": "Approver", "email": "approver@provider.example", "role": "approver"},
                        {"name": "Manager", "email": "manager@provider.example", "role": "escalation"},
                    ],
                    "forms": ["csv", "json"], "reminders": {"remind_days": 2, "escalate_days": 1},
                    **agreements.get(s.id, {}),
                }
                for s in SIDES
            ],
            "rules": RULES,
            "trials": TRIALS, "exclusions": EXCLUSIONS, "free_users": FREE_USERS,
        },
        sort_keys=False, allow_unicode=True,
    )  # fmt: skip


_GUIDE = "Programme guide of the simulated vendor, section "
RULES: list[dict[str, Any]] = [
    # What changes in September: what is missing to the minimum is reported from then on, and there is more of it.
    {
        "id": "minimum-until-september", "kind": "family_minimum", "valid_from": "2023-01", "valid_to": f"{YEAR}-09",
        "quantity": 25, "action": "flag", "source": _GUIDE + "3.1",
    },
    {
        "id": "minimum-from-september", "kind": "family_minimum", "valid_from": f"{YEAR}-09", "quantity": 30,
        "action": "add_line", "source": _GUIDE + "3.1, edition of September",
    },
    {"id": "trials", "kind": "trials", "valid_from": "2023-01", "counted": False, "source": _GUIDE + "4"},
    {"id": "zero", "kind": "zero_report", "valid_from": "2023-01", "source": _GUIDE + "5"},
    {
        "id": "due-jp", "kind": "due_day", "programme": "csp-jp", "valid_from": "2023-01", "valid_to": f"{YEAR}-09",
        "day": 10, "source": _GUIDE + "6",
    },
    {
        "id": "due-jp-september", "kind": "due_day", "programme": "csp-jp", "valid_from": f"{YEAR}-09", "day": 8,
        "source": _GUIDE + "6, edition of September",
    },
    {
        "id": "due-nl", "kind": "due_day", "programme": "csp-nl", "valid_from": "2023-01", "day": 10,
        "weekend": "after", "source": _GUIDE + "6",
    },
    {
        "id": "due-us", "kind": "due_day", "programme": "csp-us", "valid_from": "2023-01", "day": 11,
        "weekend": "before", "holidays": "US", "source": _GUIDE + "6",
    },
]  # fmt: skip
TRIALS: list[dict[str, Any]] = [
    *({"tenant": f"t{n}", "sku": "NL-DAAS-PREM", "start": f"{YEAR}-03-05"} for n in (15, 18, 19, 22)),
    {"tenant": "t03", "sku": "JP-CVAD", "start": f"{YEAR}-05-20", "days": 21},
    {"tenant": "t30", "sku": "US-ENDPOINT", "start": f"{YEAR}-12-10"},
]
EXCLUSIONS: list[dict[str, Any]] = [
    {"tenant": "t01", "pattern": "adm*", "reason": "administration"},
    {
        "tenant": "t16", "subject": "U1@T16.example", "reason": "own-testing", "valid_from": f"{YEAR}-04-10",
        "valid_to": f"{YEAR}-08-01",
    },
    {"tenant": "t19", "subject": "night@t19.example", "reason": "evaluation", "valid_from": f"{YEAR}-04-10"},
    {
        "tenant": "t28", "pattern": "?1@*", "skus": ["US-DAAS-PREM"], "reason": "demonstration",
        "valid_from": f"{YEAR}-05",
    },
]  # fmt: skip
FREE_USERS: list[dict[str, Any]] = [
    {"tenant": "t02", "subject": "u1@t02.example", "reason": "own-staff"},
    {"tenant": "t17", "pattern": "*0@t17.example", "reason": "free-user", "valid_from": f"{YEAR}-02-15"},
]


def month_end(month: date, zone: str) -> datetime:
    """The first instant after the month, in UTC."""
    following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    return datetime(following.year, following.month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def arrivals(seed: int) -> list[Arrival]:
    """Everything that reaches Kafka, in order of the hours."""
    found: list[Arrival] = []
    for side in SIDES:
        for month in MONTHS:
            found += _month(random.Random(f"{seed} {side.id} {month}"), side, month)
    return sorted(found, key=lambda a: a.hour)


def _month(rng: random.Random, side: Side, month: date) -> Iterator[Arrival]:
    end = month_end(month, side.zone)
    if (side.id, month) == ZERO:
        return
    logins = list(_logins(rng, side, month))
    late = {(x.tenant, x.subject.lower()) for x in logins if rng.random() < 0.08}
    on_time = [x for x in logins if (x.tenant, x.subject.lower()) not in late]
    rest = [x for x in logins if (x.tenant, x.subject.lower()) in late]
    # Brokers deliver twice, and what is delivered again is out of order.
    again = [x for x in on_time if rng.random() < 0.05]
    rng.shuffle(again)
    yield Arrival(end, on_time + again)
    yield Arrival(end + timedelta(hours=rng.randint(20, 60)), rest)
    if (side.id, month) in AFTER_THE_DRAFT:
        hour = end + timedelta(days=side.settle_days, hours=5)
        if (side.id, month) == UNCOVERED:
            behind = [_login(rng, side, _utc(side, month, 5, 12), 19, "NL-DAAS-PREM", "night")]
        else:
            behind = list(_newcomers(rng, side, month, "behind", 3))
        yield Arrival(hour, behind, behind=True)
    if (side.id, month) == CORRECTED:
        hour = end + timedelta(days=20, hours=7)
        yield Arrival(hour, list(_newcomers(rng, side, month, "forgotten", 4)), behind=True)


def _logins(rng: random.Random, side: Side, month: date) -> Iterator[Login]:
    numbers = [*side.tenants, 40] if side.id == "nl-2024" else list(side.tenants)  # one tenant has two agreements
    for number in numbers:
        for sku in skus(side):
            for user in range(_users(rng, side, sku, number)):
                yield from _days(rng, side, month, number, sku, user)
    first, last = _utc(side, month, 1, 0), month_end(month, side.zone) - timedelta(microseconds=1)
    prem = skus(side)[0]["id"]
    number = side.tenants[1]
    yield _login(rng, side, first, number, prem, "first-instant")
    yield _login(rng, side, last, number, prem, "last-instant")
    if (side.id, month) == UNCOVERED:
        yield _login(rng, side, _utc(side, month, 12, 12), 19, prem, "night")
    if side.id == "jp-2024" and month.month in (7, 8):  # a broker that was not told that the SKU ended
        yield _login(rng, side, _utc(side, month, 2, 9), 4, "JP-DAAS-STD", "u1")


def _users(rng: random.Random, side: Side, sku: dict[str, Any], number: int) -> int:
    low, high = side.users
    if sku["id"].endswith("PREM"):
        return rng.randint(low, high)
    if sku["id"] == "US-ENDPOINT":
        return 2 if number in (29, 30, 31) else 0
    if sku["id"].endswith("STD"):
        return rng.randint(0, low) if number % 2 else 0
    return rng.randint(0, 2) if number % 3 == 0 else 0


def _days(
    rng: random.Random, side: Side, month: date, number: int, sku: dict[str, Any], user: int
) -> Iterator[Login]:
    if "valid_to" in sku and f"{month}" >= sku["valid_to"]:
        return
    name = f"adm{user}" if number == 1 and user == 1 else f"u{user}"
    length = (month_end(month, "UTC").date() - month).days
    # Who begins with a trial has no login before it.
    first = next((t["start"] for t in TRIALS if (t["tenant"], t["sku"]) == (tenant(number), sku["id"])), "")
    for _ in range(rng.choice((1, 1, 2, 3))):
        day, hours = rng.randint(1, length), rng.randint(0, 86399) / 3600
        if f"{month.replace(day=day)}" >= first:
            yield _login(rng, side, _utc(side, month, day, hours), number, sku["id"], name)


def _newcomers(rng: random.Random, side: Side, month: date, name: str, count: int) -> Iterator[Login]:
    for i in range(count):
        number = rng.choice(list(side.tenants))
        yield _login(rng, side, _utc(side, month, rng.randint(1, 28), 12), number, skus(side)[0]["id"], f"{name}{i}")


def _login(rng: random.Random, side: Side, time: datetime, number: int, sku: str, name: str) -> Login:
    subject = f"{name}@{tenant(number)}.example"
    if rng.random() < 0.2:
        subject = f" {subject.upper()}" if rng.random() < 0.5 else subject.title()
    source = f"/{side.programme}/broker-{rng.randint(1, 2)}"
    # A broker restarts its ids: they say nothing.
    return Login(time, source, f"{rng.randint(1, 500)}", subject, tenant(number), sku)


def _utc(side: Side, month: date, day: int, hours: float) -> datetime:
    midnight = datetime(month.year, month.month, day, tzinfo=ZoneInfo(side.zone)).astimezone(UTC)
    return midnight + timedelta(seconds=int(hours * 3600))
