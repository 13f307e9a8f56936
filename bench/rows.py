"""Rows written per user, SKU and day in steady days: one says that a day's first login writes, and no other."""

from __future__ import annotations

from collections.abc import Callable

from bench.drained import drained
from bench.events import steady
from bench.figures import Truth
from bench.report import Section
from bench.stack import fill, fresh_name, own
from schemas.settings import Settings

LOGINS, DAYS, BATCHES_A_DAY = 5, 8, 240


def rows(stack: Settings, users: int, tell: Callable[[str], None]) -> Section:
    """`users` who log in five times on each of eight days; the worker stores a day in 240 batches, one of six minutes.

    A login may write again what the batch before it is still storing, so smaller batches, as they are live, write less.
    """
    stream, days = users * LOGINS * DAYS, users * DAYS
    tell(f"rows: writing {stream:,} events")
    batch = max(1, users * LOGINS // BATCHES_A_DAY)
    settings = own(stack, fresh_name(), partitions=1, max_poll_records=batch)
    fill(settings, steady(users, LOGINS, DAYS), 1)
    found = drained(settings, Truth(stream, users))
    per_day = found["rows"] / days
    row = [f"{users:,}", f"{stream:,}", f"{batch:,}", f"{days:,}", f"{found['rows']:,.0f}", f"{per_day:.3f}"]
    columns = ("users", "events", "events a batch", "users × days", "rows written", "rows per user, SKU and day")
    return Section("Rows written in steady days", columns, [row], figures={**found, "per_day": per_day})
