"""Names that were erased: a row each keeps the name gone, and `sweep` takes it out of the table that holds names.

The row comes first. From then on the view `known_names` leaves the name out, and workers and rebuilds stop storing it
within seconds; one that is stored in between is swept by the next erasure or `migrate`. Raises the driver's errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from schemas.settings import ClickHouseSettings

_BLOCK = 1_000


class Erasure(NamedTuple):
    at: datetime
    actor: str
    reason: str


def erased(client: Client, tenant: str, subjects: Sequence[bytes]) -> list[Erasure]:
    """When, by whom and why one of these pseudonyms was erased; the oldest first."""
    rows = client.query(
        "SELECT DISTINCT erased_at, actor, reason FROM subject_erasures WHERE tenant = %(tenant)s"
        " AND lower(hex(subject)) IN %(subjects)s ORDER BY erased_at",
        parameters={"tenant": tenant, "subjects": [subject.hex() for subject in subjects]},
    ).result_rows
    return [Erasure(utc(at), actor, reason) for at, actor, reason in rows]


def store(client: Client, tenant: str, subjects: Iterable[bytes], actor: str, reason: str) -> None:
    """Durable when it returns. Storing one again does no harm."""
    client.insert(
        "subject_erasures", [[tenant, subject, actor, reason] for subject in subjects],
        column_names=["tenant", "subject", "actor", "reason"],
    )  # fmt: skip


def sweep(client: Client, c: ClickHouseSettings) -> int:
    """Takes every erased name out of the table, and returns how many there were.

    ClickHouse keeps the parts that it has rewritten for some minutes more (`old_parts_lifetime`, 8 of them).
    """
    rows = client.query(
        "SELECT DISTINCT tenant, lower(hex(subject)) FROM subject_names"
        " WHERE (tenant, subject) IN (SELECT tenant, subject FROM subject_erasures)"
    ).result_rows
    found: dict[str, list[str]] = defaultdict(list)
    for tenant, subject in rows:
        found[tenant].append(subject)
    on_cluster = f" ON CLUSTER `{c.cluster}`" if c.cluster else ""
    for tenant, subjects in found.items():
        for start in range(0, len(subjects), _BLOCK):
            # By pseudonyms that are written out: a replica must not look them up for itself.
            client.command(
                f"ALTER TABLE subject_names{on_cluster} DELETE WHERE tenant = %(tenant)s"
                " AND lower(hex(subject)) IN %(subjects)s",
                parameters={"tenant": tenant, "subjects": subjects[start : start + _BLOCK]},
                settings={"mutations_sync": 2},
            )  # fmt: skip
    return len(rows)
