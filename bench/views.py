"""How long the dashboards' views take over a million active users of one month, in 100 tenants × 8 SKUs.

`python -m bench.views` fills a scratch database on the configured ClickHouse, measures each view as a dashboard asks
it (a month) and without a filter, twice: just after the worker's inserts, with parts as merging left them, and
settled (one part a month), and drops the database again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect
from infra.clickhouse.migrate import migrate
from schemas.settings import Settings, load_settings

DATABASE = "rollcall_bench_views"
TENANTS, SKUS, SOURCES = 100, 8, 12
BLOCK = 20_000
"""Rows that the worker stores at once, about."""

_USERS = """
INSERT INTO active_users SELECT
    toStartOfMonth(toDate(now('UTC')) - {{ago:UInt32}} * 31 + 5 * ({{ago:UInt32}} > 0)) AS month,
    concat('customer-', leftPad(toString(intHash32(number) % {tenants}), 3, '0')),
    concat('SKU-', toString(intHash32(number + 7) % {skus})),
    MD5(toString(number)),
    (
        toDateTime64(month, 6, 'UTC') + toIntervalMicrosecond(cityHash64(number, {{round:UInt32}}) % 2419200000000),
        concat('/citrix/site-', toString(number % {sources})),
        toString(generateUUIDv4(number))
    ),
    -- 1 to 28 days, as many as by chance: half of them
    toUInt32(bitAnd(cityHash64(number, {{round:UInt32}}, 'days'), 0x1ffffffe) + 0x20000000 * (number % 2)),
    0
FROM numbers({{start:UInt64}}, {{rows:UInt64}})
""".format(tenants=TENANTS, skus=SKUS, sources=SOURCES)  # noqa: UP032

_QUARANTINE = """
INSERT INTO quarantine SELECT 'bench', number % 4, number, 0,
    (number % 5 = 0, if(number % 5 = 0, 4, 1), ['unknown_sku', 'bad_time', 'not_json'][number % 3 + 1], 'detail'),
    concat('/citrix/site-', toString(number % 12)), now64(6, 'UTC') - number, now64(3, 'UTC')
FROM numbers(50000)
"""

_CATALOGUE = (
    "INSERT INTO catalogue_skus SELECT 1, concat('SKU-', toString(number)), concat('Product ', toString(number)), "
    f"'programme', 'Asia/Tokyo', 'Family', 'cloud', 'user' FROM numbers({SKUS})",
    "INSERT INTO catalogue_tenants SELECT 1, concat('customer-', leftPad(toString(number), 3, '0')), "
    f"concat('Customer ', toString(number)) FROM numbers({TENANTS})",
    "INSERT INTO ingest_progress SELECT 'bench', number % 4, number * 100, number * 100 + 50, now64(3), "
    "now64(3, 'UTC') - number FROM numbers(2000)",
    "INSERT INTO seals SELECT toStartOfMonth(toDate(now('UTC')) - 31 * number), 'programme', 1, number + 1, 'UTC', '', "
    "arrayMap(n -> (toString(n), 'SKU', 1, ''), range(800)), 'c', 't', 1, map(0, 1), map(0, now64(3)), map(0, 1), "
    "'k', now64(3) FROM numbers(36)",
)

CURRENT = "month = (SELECT max(month) FROM active_users)"
QUERIES: tuple[tuple[str, str], ...] = (
    ("active_users_by_month", CURRENT),
    ("active_users_by_month", f"{CURRENT} AND tenant = 'customer-042'"),
    ("active_users_by_month", ""),
    ("active_users_by_day", CURRENT),
    ("active_users_by_day", f"{CURRENT} AND tenant = 'customer-042'"),
    ("active_users_by_day", ""),
    ("running_estimate", ""),
    ("login_span", CURRENT),
    ("login_span", ""),
    ("ingest_lag", ""),
    ("quarantine_by_reason", ""),
    ("closes", ""),
)


class Timing(NamedTuple):
    parts: str
    view: str
    where: str
    median_ms: float
    rows: int


def measure(
    settings: Settings, users: int = 1_000_000, rounds: int = 5, tell: Callable[[str], None] = lambda _: None
) -> list[Timing]:
    """Fills a scratch database on the settings' server, measures, drops it. `users` are those of the current month."""
    clickhouse = settings.clickhouse.model_copy(update={"database": DATABASE})
    scratch = settings.model_copy(update={"clickhouse": clickhouse})
    with connect(settings, database="default") as server:
        server.command(f"DROP DATABASE IF EXISTS {DATABASE} SYNC")
        try:
            migrate(scratch)
            with connect(scratch) as client:
                tell(f"filling: {users:,} users of the current month, {users // 5:,} of each of the two before")
                fill(client, users)
                fresh = _measure(client, f"fresh, {_parts(client)} parts", rounds)
                client.command("OPTIMIZE TABLE active_users FINAL")
                return fresh + _measure(client, f"settled, {_parts(client)} parts", rounds)
        finally:
            server.command(f"DROP DATABASE IF EXISTS {DATABASE} SYNC")


def fill(client: Client, users: int) -> None:
    """Stores the months as a worker would: in blocks, a fifth of the users seen again with other days."""
    for ago, count in ((2, users // 5), (1, users // 5), (0, users)):
        for start in range(0, count, BLOCK):
            rows = min(BLOCK, count - start)
            client.command(_USERS, parameters={"ago": ago, "round": 1, "start": start, "rows": rows})
            client.command(_USERS, parameters={"ago": ago, "round": 2, "start": start // 2, "rows": rows // 5})
    for statement in (*_CATALOGUE, _QUARANTINE):
        client.command(statement)


def _measure(client: Client, parts: str, rounds: int) -> list[Timing]:
    timings = []
    for view, where in QUERIES:
        query = f"SELECT * FROM {view}" + (f" WHERE {where}" if where else "")
        taken, rows = [], 0
        for _ in range(rounds):
            begun = time.perf_counter()
            rows = len(client.raw_query(query, fmt="TabSeparated").splitlines())
            taken.append((time.perf_counter() - begun) * 1000)
        timings.append(Timing(parts, view, where.replace(CURRENT, "month = …"), statistics.median(taken), rows))
    return timings


def _parts(client: Client) -> int:
    return int(
        client.query(
            "SELECT count() FROM system.parts WHERE active AND table = 'active_users' AND database = currentDatabase()"
        ).result_rows[0][0]
    )


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("parts", "view", "filter", "ms (median of 5)", "rows")
    for t in measure(load_settings(), tell=console.print):
        table.add_row(t.parts, t.view, t.where or "none", f"{t.median_ms:,.0f}", f"{t.rows:,}")
    console.print(table)


if __name__ == "__main__":
    main()
