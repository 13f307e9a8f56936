"""What is stored, from the dashboards' views: progress, the current month, the quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from infra.generation import number_in_force
from stream_jobs.quarantine.caps import Tripped, tripped
from stream_jobs.status.sources import SourceState, read_sources


class SkuCount(NamedTuple):
    month: date
    sku: str
    name: str
    tenants: int
    active_users: int


class SetAside(NamedTuple):
    """Events that wait in the quarantine; `sources` sent them."""

    reason: str
    sources: int
    events: int


@dataclass(frozen=True)
class StoreState:
    """`newest`: append time of the newest stored record, so many seconds ago by ClickHouse's clock; None: none yet.

    `freshness`: seconds from Kafka's append until it was stored, of the newest record of what was stored last.
    """

    generation: int
    newest: datetime | None
    seconds_since_newest: float | None
    seconds_since_stored: float | None
    freshness: float | None
    month: list[SkuCount]
    quarantine: list[SetAside]
    tripped: list[Tripped]
    sources: list[SourceState]


def read_store(client: Client, now: datetime) -> StoreState:
    """Raises the driver's errors."""
    [(partitions, newest, age, quiet, freshness)] = client.query(
        "SELECT count(), max(newest_append_time), dateDiff('millisecond', max(newest_append_time), now64(3)) / 1000,"
        " min(seconds_since_stored), argMax(dateDiff('millisecond', newest_append_time, stored_at), stored_at) / 1000"
        " FROM ingest_lag"
    ).result_rows
    month = client.query(
        "SELECT month, sku, any(sku_name), uniqExact(tenant), sum(active_users) FROM running_estimate"
        " GROUP BY month, sku ORDER BY month, sku"
    ).result_rows
    return StoreState(
        generation=number_in_force(client), newest=utc(newest) if partitions else None,
        seconds_since_newest=max(0.0, age) if partitions else None,
        seconds_since_stored=quiet if partitions else None, freshness=max(0.0, freshness) if partitions else None,
        month=[SkuCount(*row) for row in month], quarantine=read_quarantine(client), tripped=tripped(client),
        sources=read_sources(client, now),
    )  # fmt: skip


def read_quarantine(client: Client) -> list[SetAside]:
    """What waits of this month and the last (UTC), by reason. Raises the driver's errors."""
    rows = client.query(
        "SELECT reason, uniqExact(source), sum(events) AS waiting FROM quarantine_by_reason"
        " WHERE state = 'quarantined' AND month >= toStartOfMonth(subtractMonths(toDate(now('UTC')), 1))"
        " GROUP BY reason ORDER BY waiting DESC, reason"
    ).result_rows
    return [SetAside(*row) for row in rows]
