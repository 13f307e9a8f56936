"""Exact counts of active users, per tenant and SKU: of the table as it is, and of a seal.

Unmerged rows are counted as they are: a subject counts once however many rows it has, and a row is before close n
if its own `recorded_in` is, so neither FINAL nor a merge is needed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.errors import ConfigurationError
from infra.generation import in_force
from schemas.calendar import month_name
from schemas.close import Count, SealedCount
from stream_jobs.month_close.digest import CELL_DIGEST
from stream_jobs.month_close.left_out import SETTINGS, left_out_query
from stream_jobs.month_close.rows import Rows, rows_of
from stream_jobs.month_close.scope import Cell, Scope

# The tables are in the order of (tenant, sku, subject), so groups end as they are read: memory is that of the
# largest cell. SKUs stand in the statement, and a catalogue may have thousands.
IN_ORDER: dict[str, Any] = {"optimize_aggregation_in_order": 1, "max_query_size": 4 << 20}

# As a number a subject is hashed faster than as text; the sets are the same.
_USERS = "uniqExact(reinterpretAsUInt128(subject))"

SUBJECTS = "arrayCompact(arraySort(groupArray(subject))) AS subjects"
"""What `read_cells` digests, of rows where a subject may stand more than once."""


def live_counts(client: Client, month: date) -> list[Count]:
    """The month as it is known now, in order of tenant and SKU; empty without any login."""
    rows = rows_of(client, month)
    parts = [(rows.unlinked(), "NOT IN"), (rows, "IN")] if rows.aliases else [(rows, "")]
    found: list[tuple[str, str, int]] = []
    for read, inside in parts:
        where = f"{read.source} AND tenant {inside} %(linked)s" if inside else read.source
        found += client.query(
            f"SELECT tenant, sku, {_USERS} {where} GROUP BY tenant, sku",
            parameters={**read.parameters, "linked": list(rows.aliases)}, settings=IN_ORDER,
        ).result_rows  # fmt: skip
    return [Count(month=month, tenant=t, sku=s, active_users=n) for t, s, n in sorted(found)]


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


def rows_by_cell(client: Client, rows: Rows) -> dict[Cell, int]:
    """How many rows there are of each tenant and SKU: no count of subjects, but what has logins, and its size."""
    found = client.query(
        f"SELECT tenant, sku, count() {rows.identities} GROUP BY tenant, sku", parameters=rows.parameters,
        settings=IN_ORDER,
    )  # fmt: skip
    return {(tenant, sku): count for tenant, sku, count in found.result_rows}


def measured(client: Client, rows: Rows, scope: Scope) -> dict[Cell, int]:
    """The agreement's active users by tenant and SKU, whether they are counted or left out."""
    found: dict[Cell, int] = {}
    for read, part in replace(scope, allowances=()).apart(rows) if not scope.empty else ():
        counted = client.query(
            f"SELECT tenant, sku, {_USERS} {read.source} AND {part.condition} GROUP BY tenant, sku",
            parameters={**read.parameters, **part.parameters}, settings={**SETTINGS, **IN_ORDER},
        )  # fmt: skip
        found |= {(t, s): n for t, s, n in counted.result_rows}
    return found


def cells_of(client: Client, rows: Rows, scope: Scope, *, allowed: bool = True) -> list[SealedCount]:
    """What a seal of these rows would hold, with digests; without the `allowed`, or with everybody measured."""
    if scope.empty:
        return []
    found = []
    for read, part, portion in (scope if allowed else replace(scope, allowances=())).pieces(rows):
        sets = f"{SUBJECTS} {read.source} AND {part.condition}{portion.condition}"
        parameters = {**read.parameters, **part.parameters, **portion.parameters}
        if (left_out := left_out_query(read, part, portion)) is not None:
            sets += f" AND (tenant, sku, subject) NOT IN (SELECT tenant, sku, subject FROM ({left_out[0]}))"
            parameters |= left_out[1]
        found += read_cells(client, sets, parameters)
    return found


def read_cells(client: Client, sets: str, parameters: dict[str, Any]) -> list[SealedCount]:
    """Count and digest of each cell; `sets` says what its sorted array of `subjects` is, and from where."""
    found = client.query(
        f"SELECT tenant, sku, length(subjects), {CELL_DIGEST} FROM (SELECT tenant, sku, {sets} GROUP BY tenant, sku)",
        parameters=parameters, settings=SETTINGS,
    ).result_rows  # fmt: skip
    return [SealedCount(tenant=t, sku=s, active_users=n, digest=d) for t, s, n, d in sorted(found)]


def months_with_logins(client: Client) -> list[date]:
    """The months of which any login is stored, in order."""
    found = client.query(f"SELECT DISTINCT month FROM {in_force(client).table} ORDER BY month").result_rows
    return [month for (month,) in found]


def _no_seal(month: date, revision: int | None, existing: list[tuple[str, int]]) -> str:
    name = month_name(month)
    if not existing:
        return f"{name} is not closed yet: `rollcall close {name}` does; `rollcall counts {name}` shows it as it is"
    return f"{name} has no revision {revision}; there are " + ", ".join(f"{a} revision {r}" for a, r in existing)
