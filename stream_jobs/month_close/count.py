"""Exact counts of active users, per tenant and SKU: of the table as it is, and of a seal.

Unmerged rows are counted as they are: a subject counts once however many rows it has, and a row is before close n
if its own `recorded_in` is, so neither FINAL nor a merge is needed.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.errors import ConfigurationError
from schemas.calendar import month_name
from schemas.close import Count, SealedCount
from stream_jobs.month_close.digest import CELL_DIGEST
from stream_jobs.month_close.scope import Cell, Scope

# The tables are in the order of (tenant, sku, subject), so groups end as they are read: memory is that of the
# largest cell. SKUs stand in the statement, and a catalogue may have thousands.
IN_ORDER: dict[str, Any] = {"optimize_aggregation_in_order": 1, "max_query_size": 4 << 20}


def live_counts(client: Client, month: date) -> list[Count]:
    """The month as it is known now, in order of tenant and SKU; empty without any login."""
    found = client.query(
        "SELECT tenant, sku, uniqExact(subject) FROM active_users WHERE month = %(month)s"
        " GROUP BY tenant, sku ORDER BY tenant, sku",
        parameters={"month": month},
    )
    return [Count(month=month, tenant=t, sku=s, active_users=n) for t, s, n in found.result_rows]


def sealed_counts(client: Client, month: date, revision: int | None = None) -> list[Count]:
    """The counts of all agreements' seals of this revision, or of the newest of each, in order of tenant and SKU.

    Raises ConfigurationError when there is none, naming the revisions that exist.
    """
    found = client.query(
        "SELECT agreement, revision, counts FROM seals WHERE month = %(month)s ORDER BY agreement, revision",
        parameters={"month": month},
    ).result_rows
    chosen = {a: counts for a, r, counts in found if revision is None or r == revision}
    if not chosen:
        raise ConfigurationError(_no_seal(month, revision, [(a, r) for a, r, _ in found]))
    cells = sorted((c["tenant"], c["sku"], c["active_users"]) for counts in chosen.values() for c in counts)
    return [Count(month=month, tenant=t, sku=s, active_users=n) for t, s, n in cells]


def cells_with_logins(client: Client, month: date, number: int | None = None) -> list[Cell]:
    """The tenants and SKUs that the month has rows of; with a number, only of what this close counts."""
    found = client.query(
        "SELECT DISTINCT tenant, sku FROM active_users WHERE month = %(month)s"
        + (" AND recorded_in < %(number)s" if number is not None else ""),
        parameters={"month": month, "number": number},
    )
    return [(tenant, sku) for tenant, sku in found.result_rows]


def counts_before(client: Client, month: date, number: int, scope: Scope) -> dict[tuple[str, str], int]:
    """What close `number` counts of an agreement, by (tenant, SKU)."""
    if scope.empty:
        return {}
    found = client.query(
        "SELECT tenant, sku, uniqExact(subject) FROM active_users"
        f" WHERE month = %(month)s AND {scope.condition} AND recorded_in < %(number)s GROUP BY tenant, sku",
        parameters={"month": month, "number": number, **scope.parameters}, settings=IN_ORDER,
    )  # fmt: skip
    return {(t, s): n for t, s, n in found.result_rows}


def cells_before(client: Client, month: date, number: int, scope: Scope) -> list[SealedCount]:
    """What a seal of close `number` would hold, with digests, read from `active_users`."""
    if scope.empty:
        return []
    return _cells(
        client,
        "SELECT tenant, sku, arrayCompact(arraySort(groupArray(subject))) AS subjects FROM active_users"
        f" WHERE month = %(month)s AND {scope.condition} AND recorded_in < %(number)s GROUP BY tenant, sku",
        {"month": month, "number": number, **scope.parameters},
    )


def stored_cells(client: Client, month: date, agreement: str, number: int) -> list[SealedCount]:
    """What the stored set of close `number` holds, with digests. A subject stored twice counts twice: a fault shows."""
    return _cells(
        client,
        "SELECT tenant, sku, arraySort(groupArray(subject)) AS subjects FROM seal_subjects WHERE month = %(month)s"
        " AND agreement = %(agreement)s AND close_number = %(number)s AND counted GROUP BY tenant, sku",
        {"month": month, "agreement": agreement, "number": number},
    )


def _cells(client: Client, sets: str, parameters: dict[str, Any]) -> list[SealedCount]:
    query = f"SELECT tenant, sku, length(subjects), {CELL_DIGEST} FROM ({sets}) ORDER BY tenant, sku"
    found = client.query(query, parameters=parameters, settings=IN_ORDER).result_rows
    return [SealedCount(tenant=t, sku=s, active_users=n, digest=d) for t, s, n, d in found]


def _no_seal(month: date, revision: int | None, existing: list[tuple[str, int]]) -> str:
    name = month_name(month)
    if not existing:
        return f"{name} is not closed yet: `rollcall close {name}` does; `rollcall counts {name}` shows it as it is"
    return f"{name} has no revision {revision}; there are " + ", ".join(f"{a} revision {r}" for a, r in existing)


def months_with_logins(client: Client) -> list[date]:
    """The months of which any login is stored, in order."""
    return [month for (month,) in client.query("SELECT DISTINCT month FROM active_users ORDER BY month").result_rows]
