"""Imports of other counts, as they were read: immutable, each stored once.

These functions raise the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import NAMESPACE_OID, UUID, uuid5

from clickhouse_connect.driver.client import Client

from schemas.calendar import month_name
from schemas.reconciliation import OtherCount

_COLUMNS = ["import_id", "month", "origin", "sha256", "actor", "tenant", "sku", "total", "paid", "free"]


def import_id(month: date, origin: str, sha256: str, counts: Sequence[OtherCount]) -> UUID:
    """The same file read in the same way is the same import."""
    lines = [f"{month_name(month)} {origin} {sha256}", *(count.model_dump_json() for count in counts)]
    return uuid5(NAMESPACE_OID, "\n".join(lines))


def put_import(
    client: Client, id: UUID, month: date, origin: str, sha256: str, actor: str, counts: Sequence[OtherCount]
) -> bool:
    """Stores it; False when it is stored already."""
    stored = "SELECT 1 FROM other_counts WHERE month = %(month)s AND origin = %(origin)s AND import_id = %(id)s LIMIT 1"
    if client.query(stored, parameters={"month": month, "origin": origin, "id": str(id)}).result_rows:
        return False
    client.insert(
        "other_counts",
        [[id, month, origin, sha256, actor, c.tenant, c.sku, c.total, c.paid, c.free] for c in counts],
        column_names=_COLUMNS, settings={"insert_deduplication_token": f"other-counts-{id}"},
    )  # fmt: skip
    return True
