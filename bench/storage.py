"""What an active user takes on ClickHouse's disk, after merges, with and without its first event's evidence."""

from __future__ import annotations

from collections.abc import Callable

from bench.drained import drained
from bench.events import distinct
from bench.figures import Truth
from bench.report import Section
from bench.stack import fill, fresh_name, own
from infra.clickhouse.client import connect
from schemas.settings import Settings

_WHOLE = (
    "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts"
    " WHERE database = currentDatabase() AND table = 'active_users' AND active"
)
_COLUMNS = (
    "SELECT splitByChar('.', column)[1] AS name, sum(column_bytes_on_disk) FROM system.parts_columns"
    " WHERE database = currentDatabase() AND table = 'active_users' AND active GROUP BY name ORDER BY name"
)


def storage(stack: Settings, users: int, tell: Callable[[str], None]) -> Section:
    """Bytes on disk of `users` rows that a worker stored, and each column's share of them."""
    settings = own(stack, fresh_name())
    tell(f"storage: {users:,} users")
    fill(settings, distinct(users), 100)
    drained(settings, Truth(users, users))
    with connect(settings) as client:
        client.command("OPTIMIZE TABLE active_users FINAL")
        [[rows, size]] = client.query(_WHOLE).result_rows
        columns = {name: int(taken) / rows for name, taken in client.query(_COLUMNS).result_rows}
    whole = size / rows
    evidence = columns["first_event"]
    if not evidence:
        raise RuntimeError("the part is too small for files of its columns: take more users")
    section = Section("ClickHouse's disk, bytes an active user after merges", ("what", "bytes"))
    section.rows = [
        ["whole row, with the first event's id (a UUID), time and source", f"{whole:.1f}"],
        ["without the first event", f"{whole - evidence:.1f}"],
        *([f"of it {name}", f"{taken:.1f}"] for name, taken in columns.items() if taken >= 0.05),
    ]
    section.figures = {"users": rows, "bytes": whole, "without_first_event": whole - evidence, "columns": columns}
    return section
