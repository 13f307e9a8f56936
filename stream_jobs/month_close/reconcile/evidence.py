"""What log and table know about the cells that differ: late logins, the edges of the month, names.

These functions raise the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.clickhouse.client import DENIED, error_code
from infra.generation import in_force
from schemas.calendar import day_start, month_interval, next_month, zone_named
from stream_jobs.month_close.count import IN_ORDER
from stream_jobs.month_close.reconcile.compare import Evidence
from stream_jobs.month_close.report.unsettled import events_set_aside
from stream_jobs.month_close.scope import Cell

_EVERYTHING = (1 << 32) - 1
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Ground:
    """Where one agreement's cells are looked up. `close_number`: rows recorded from it on are late; None: none are."""

    month: date
    zone: str
    close_number: int | None
    other_zone: str


def gather(client: Client, ground: Ground, cells: Collection[Cell], unfolded: Collection[str]) -> dict[Cell, Evidence]:
    """The evidence of each cell; `unfolded` are the tenants that keep names apart which differ in case."""
    if not cells:
        return {}
    set_aside = sum(part.events for part in events_set_aside(client, ground.month, ground.zone))
    look = _Look(client, ground, sorted(cells))
    edges = Edges.between(ground.month, ground.zone, ground.other_zone)
    late, leaving, entering = look.late(), look.leaving(edges), look.entering(edges)
    case, domain = look.without_case(), look.without_domain()
    return {
        cell: Evidence(
            late=late.get(cell, 0), set_aside=set_aside, leaving=leaving.get(cell, 0),
            leaving_at_most=edges.begins_otherwise,
            entering=entering.get(cell, 0), entering_at_most=edges.begins_earlier,
            case=None if case is None else case.get(cell, 0), domain=None if domain is None else domain.get(cell, 0),
            folds_case=cell[0] not in unfolded,
        )
        for cell in cells
    }  # fmt: skip


@dataclass(frozen=True)
class Edges:
    """A month as it is cut here, `[start, end)`, and there; epoch microseconds.

    Of a subject its first login of a month is known to the instant, later ones by their days. So where both begin at
    once, who leaves or enters at the end is known exactly; else only who may: the days that the two cuts share are not
    told apart. `first_days` has a bit for each day of the month that begins before `other_start`; `last_days` one
    for each day of the month before that ends after it.
    """

    start: int
    end: int
    other_start: int
    other_end: int
    first_days: int
    last_days: int

    @classmethod
    def between(cls, month: date, zone: str, other_zone: str) -> Edges:
        here, there = zone_named(zone), zone_named(other_zone)
        start, end = month_interval(month, here)
        other_start, other_end = month_interval(month, there)
        before = month - _DAY
        days = range((next_month(month) - month).days)
        return cls(
            start, end, other_start, other_end,
            sum(1 << d + 1 for d in days if day_start(month + d * _DAY, here) < other_start),
            sum(1 << d for d in range(1, before.day + 1)
                if day_start(before.replace(day=d) + _DAY, here) > other_start),
        )  # fmt: skip

    @property
    def begins_otherwise(self) -> bool:
        """Who leaves may stay: by a later login of the first days, or by one just before the month."""
        return self.other_start != self.start

    @property
    def begins_earlier(self) -> bool:
        return self.other_start < self.start


class _Look:
    """One query a question, over all cells of an agreement."""

    def __init__(self, client: Client, ground: Ground, cells: list[Cell]) -> None:
        self._client = client
        self._ground = ground
        self._table = in_force(client).table
        self._parameters: dict[str, Any] = {
            "month": ground.month, "cells": cells, "number": ground.close_number or _EVERYTHING,
            "before": (ground.month - _DAY).replace(day=1), "next": next_month(ground.month),
        }  # fmt: skip
        self._ours = (
            f"SELECT tenant, sku, subject FROM {self._table} WHERE month = %(month)s AND (tenant, sku) IN %(cells)s"
            " AND recorded_in < %(number)s"
        )

    def late(self) -> dict[Cell, int]:
        return self._counts(
            "SELECT tenant, sku, uniqExact(subject) - uniqExactIf(subject, recorded_in < %(number)s)"
            f" FROM {self._table} WHERE month = %(month)s AND (tenant, sku) IN %(cells)s GROUP BY tenant, sku"
        )

    def leaving(self, edges: Edges) -> dict[Cell, int]:
        """Whose logins of the month all lie, or may all lie, outside of the other cut."""
        return self._counts(
            "SELECT tenant, sku, countIf(first >= %(other_end)s OR (first < %(other_start)s"
            " AND bitAnd(days, bitNot(toUInt32(%(first_days)s))) = 0)) FROM"
            " (SELECT tenant, sku, toUnixTimestamp64Micro(tupleElement(min(first_event), 1)) AS first,"
            f" groupBitOr(active_days) AS days FROM {self._table} WHERE month = %(month)s"
            " AND (tenant, sku) IN %(cells)s AND recorded_in < %(number)s GROUP BY tenant, sku, subject)"
            " GROUP BY tenant, sku",
            other_start=edges.other_start, other_end=edges.other_end, first_days=edges.first_days,
        )  # fmt: skip

    def entering(self, edges: Edges) -> dict[Cell, int]:
        """Who is not of the month here, and has, or may have, a login of it there."""
        return self._counts(
            f"SELECT tenant, sku, uniqExact(subject) FROM {self._table} WHERE (tenant, sku) IN %(cells)s"
            " AND recorded_in < %(number)s AND ((month = %(next)s"
            " AND toUnixTimestamp64Micro(tupleElement(first_event, 1)) < %(other_end)s)"
            " OR (month = %(before)s AND bitAnd(active_days, toUInt32(%(last_days)s)) != 0))"
            f" AND (tenant, sku, subject) NOT IN ({self._ours}) GROUP BY tenant, sku",
            other_end=edges.other_end, last_days=edges.last_days,
        )  # fmt: skip

    def without_case(self) -> dict[Cell, int] | None:
        """How many fewer they were; None when names may not be read."""
        return self._fewer("lowerUTF8(name)")

    def without_domain(self) -> dict[Cell, int] | None:
        """The same with alice of `DOMAIN\\alice` and `alice@customer.example`."""
        return self._fewer("lowerUTF8(splitByChar('@', splitByChar('\\\\', name)[-1])[1])")

    def _fewer(self, name: str) -> dict[Cell, int] | None:
        query = (
            f"SELECT tenant, sku, count() - uniqExact({name}) FROM (SELECT DISTINCT * FROM ({self._ours})) AS counted"
            " INNER JOIN (SELECT tenant, subject, any(name) AS name FROM known_names GROUP BY tenant, subject)"
            " AS named USING (tenant, subject) GROUP BY tenant, sku"
        )
        try:
            return self._counts(query)
        except ClickHouseError as error:
            if error_code(error) != DENIED:
                raise
            return None

    def _counts(self, query: str, **more: Any) -> dict[Cell, int]:
        rows: Iterable[Any] = self._client.query(
            query, parameters={**self._parameters, **more}, settings=IN_ORDER
        ).result_rows
        return {(tenant, sku): int(many) for tenant, sku, many in rows if many}
