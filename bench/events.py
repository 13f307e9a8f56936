"""The events of a bench: JSON of about 280 bytes, as a session broker would send it, the same in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date

MONTH = date(2026, 10, 1)
_MONTH = f"{MONTH:%Y-%m}"
PROBE = "PROBE"
"""The SKU of the events that freshness is measured with; it counts for itself."""
CATALOGUE = """\
programmes:
  bench: {time_zone: Asia/Tokyo}
tenants:
  - {id: customer-a, name: Customer A}
skus:
  - {id: DAAS-PREM-T1, name: DaaS Premium, programme: bench, family: DaaS, deployment: cloud}
  - {id: PROBE, name: Probe, programme: bench, family: DaaS, deployment: cloud}
"""
_DAY = 86_400_000
DAYS = 28
"""User-days of one user in `events`: each logs in on each of the first 28 days."""

Stream = Iterator[tuple[str, bytes]]
"""Subject and JSON of each event."""


def events(count: int, counted: float, seed: int = 1) -> Stream:
    """`count` events in any order; a share of `counted` repeats a user-day that is in the stream already."""
    rng = random.Random(seed)
    user_days = _user_days(count, counted)
    order = [*range(user_days), *(rng.randrange(user_days) for _ in range(count - user_days))]
    rng.shuffle(order)
    for user_day in order:
        user, day = divmod(user_day, DAYS)
        yield _login(rng, user, day + 1)


def users_of(count: int, counted: float) -> int:
    """The users of `events(count, counted)`: what every contender must arrive at."""
    return -(-_user_days(count, counted) // DAYS)


def distinct(users: int, repeats: int = 0) -> Stream:
    """An event of each of `users`, on any day, then `repeats` events of any of them on any day."""
    rng = random.Random(2)
    for user in range(users):
        yield _login(rng, user, 1 + user % DAYS)
    for _ in range(repeats):
        yield _login(rng, rng.randrange(users), 1 + rng.randrange(DAYS))


def steady(users: int, logins: int, days: int) -> Stream:
    """`days` days as they come: every user logs in `logins` times on each, at any time of it, the earliest first."""
    rng = random.Random(3)
    for day in range(1, days + 1):
        for milli, user in sorted((rng.randrange(_DAY), user) for user in range(users) for _ in range(logins)):
            yield _login(rng, user, day, milli)


def probe(number: int) -> tuple[str, bytes]:
    """An event of a subject of its own, with `number` as its id."""
    subject = f"probe{number}@corp.customer-a.example"
    return subject, _event(str(number), 0, f"{_MONTH}-01T12:00:00.000", subject, PROBE)


def _user_days(count: int, counted: float) -> int:
    return max(1, round(count * (1 - counted)))


def _login(rng: random.Random, user: int, day: int, milli: int | None = None) -> tuple[str, bytes]:
    """A login on that day; at `milli` milliseconds after midnight, or at any time."""
    subject = f"first.last{user:07d}@corp.customer-a.example"
    hexed = f"{rng.getrandbits(128):032x}"
    second, milli = divmod(int(rng.random() * _DAY) if milli is None else milli, 1000)
    at = f"{_MONTH}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{milli:03d}"
    uuid = f"{hexed[:8]}-{hexed[8:12]}-{hexed[12:16]}-{hexed[16:20]}-{hexed[20:]}"
    return subject, _event(uuid, user % 3, at, subject, "DAAS-PREM-T1")


def _event(event_id: str, site: int, at: str, subject: str, sku: str) -> bytes:
    return (
        f'{{"specversion":"1.0","id":"{event_id}","source":"/citrix/tokyo-{site}/controller-1",'
        f'"type":"rollcall.login.v1","time":"{at}+09:00","subject":"{subject}",'
        f'"data":{{"tenant":"customer-a","sku":"{sku}"}}}}'
    ).encode()
