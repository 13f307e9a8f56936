"""The set of a seal: stored once from the rows before a close, and read back by whoever checks it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from schemas.close import LeftOut, SealedCount
from stream_jobs.month_close.allowances import left_out_of
from stream_jobs.month_close.count import IN_ORDER, read_cells
from stream_jobs.month_close.left_out import SETTINGS, left_out_query
from stream_jobs.month_close.portions import MOST_STORED, Portion, portions
from stream_jobs.month_close.rows import Rows
from stream_jobs.month_close.scope import Cell, Scope

# The logins of a tenant and SKU are sorted as one array, and of each subject the first one stays: half the work of
# merging the table's parts row by row, in every core, and one reading of the table.
_FIRST_LOGINS = (
    "SELECT tenant, sku, one.1 AS subject, (one.2, one.3, one.4) AS first_event FROM"
    " (SELECT tenant, sku, arrayJoin(arrayCompact(login -> login.1, logins)) AS one FROM"
    " (SELECT tenant, sku, arraySort(groupArray((subject, first_event.1, first_event.2, first_event.3))) AS logins"
    " {rows} GROUP BY tenant, sku))"
)
_STORE = (
    "INSERT INTO seal_subjects (close_number, month, agreement, tenant, sku, subject, first_event, counted, reason)"
    " SELECT %(number)s, %(month)s, %(agreement)s, tenant, sku, subject, first_event, "
)
_STORED = "FROM seal_subjects WHERE month = %(month)s AND agreement = %(agreement)s AND close_number = %(number)s"
# One part a portion, and its rows come in the part's order.
_SETTINGS = {
    **SETTINGS, **IN_ORDER, "aggregation_in_order_max_block_bytes": 8 << 20, "preferred_block_size_bytes": 0,
    "min_insert_block_size_rows": 2 * MOST_STORED, "min_insert_block_size_bytes": 1 << 30,
}  # fmt: skip
_LANES = 2


def store_set(client: Client, rows: Rows, scope: Scope) -> None:
    """Stores every measured subject under the close's number, counted or with the reason why not."""
    # ClickHouse writes a part with one core: meanwhile the next portion is read and sorted. A cluster takes one insert
    # after the other.
    lanes = 1 if client.get_client_setting("insert_quorum") else _LANES
    with ThreadPoolExecutor(lanes) as pool:
        stored = [
            pool.submit(_store, client, *piece) for piece in scope.pieces(rows, most=MOST_STORED, sliced=True)
        ]
        for piece in stored:
            piece.result()


def _store(client: Client, rows: Rows, scope: Scope, portion: Portion) -> None:
    logins = _FIRST_LOGINS.format(rows=f"{rows.source} AND {scope.condition}{portion.condition}")
    parameters = {**rows.parameters, **scope.parameters, **portion.parameters, "agreement": scope.id}
    left_out = left_out_query(rows, scope, portion)
    if left_out is None:
        statement = f"{_STORE} true, '' FROM ({logins})"
    else:
        query, more = left_out
        parameters |= more
        statement = (
            f"{_STORE} l.reason = '', l.reason FROM ({logins}) AS m"
            f" LEFT ANY JOIN ({query}) AS l USING (tenant, sku, subject)"
        )
    client.command(statement, parameters=parameters, settings=_SETTINGS)


def stored_cells(
    client: Client, month: date, agreement: str, number: int, sizes: Mapping[Cell, int], *, measured: bool = False
) -> list[SealedCount]:
    """The counted subjects of each cell, with digests; with `measured`, also those that are left out.

    A subject stored twice counts twice: a fault shows. `sizes` are about how many there are in each cell.
    """
    counted = "" if measured else " AND counted"
    parameters = {"month": month, "agreement": agreement, "number": number}
    return [
        cell
        for portion in portions(sizes)
        for cell in read_cells(
            client, f"arraySort(groupArray(subject)) AS subjects {_STORED}{counted}{portion.condition}",
            {**parameters, **portion.parameters},
        )
    ]  # fmt: skip


def stored_left_out(client: Client, month: date, agreement: str, number: int) -> list[LeftOut]:
    """How many of the set are not counted, in order of tenant, SKU and reason."""
    parameters: dict[str, Any] = {"month": month, "agreement": agreement, "number": number}
    found = client.query(
        f"SELECT tenant, sku, reason, count() {_STORED} AND NOT counted GROUP BY tenant, sku, reason"
        " ORDER BY tenant, sku, reason",
        parameters=parameters,
    ).result_rows  # fmt: skip
    return [left_out_of(*row) for row in found]
