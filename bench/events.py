"""The events of a bench: a month's logins, of which a chosen share repeats what is counted already."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import date

CATALOGUE = """\
programmes:
  bench: {time_zone: Asia/Tokyo}
tenants:
  - {id: customer-a, name: Customer A}
skus:
  - {id: DAAS-PREM-T1, name: DaaS Premium, programme: bench, family: DaaS, deployment: cloud}
"""
USERS_PER_DAY = 28
"""User-days of one user: every user logs in on each of the first 28 days."""


def events(count: int, counted: float, month: date, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """`count` events (subject, JSON of about 280 bytes); a share of `counted` repeats a user-day seen before."""
    rng = random.Random(seed)
    user_days = max(1, round(count * (1 - counted)))
    order = [*range(user_days), *(rng.randrange(user_days) for _ in range(count - user_days))]
    rng.shuffle(order)
    for user_day in order:
        user, day = divmod(user_day, USERS_PER_DAY)
        subject = f"first.last{user:07d}@corp.customer-a.example"
        at = f"{month:%Y-%m}-{day + 1:02d}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}"
        yield subject, (
            f'{{"specversion":"1.0","id":"{uuid.UUID(int=rng.getrandbits(128))}",'
            f'"source":"/citrix/tokyo-{user % 3}/controller-1",'
            f'"type":"rollcall.login.v1","time":"{at}.{rng.randrange(1000):03d}+09:00","subject":"{subject}",'
            f'"data":{{"tenant":"customer-a","sku":"DAAS-PREM-T1"}}}}'
        ).encode()


def active_users(count: int, counted: float) -> int:
    """The users of `events(count, counted, …)`: what every contender must arrive at."""
    return -(-max(1, round(count * (1 - counted))) // USERS_PER_DAY)
