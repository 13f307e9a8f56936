"""How long a close takes over 10 million counted subjects (200 tenants, 40 SKUs), beside the bare count with FINAL.

`python -m bench.close` fills a scratch database on the configured ClickHouse with unmerged parts, measures each step
beside the bare count in the same rounds, and drops it again. The barrier is not measured: it waits for the dedup job,
and the seal is made on a ground of the benchmark's own. The engine's memory is the largest resident size of the local
stack's engine while the step runs, and its CPU time tells more than the clock where others use the machine; of another
server neither is known.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from infra.catalogue import store
from infra.clickhouse.client import connect
from infra.clickhouse.migrate import migrate
from infra.local.stack import status
from schemas.close import Seal
from schemas.settings import Settings, load_settings
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import live_counts, rows_by_cell
from stream_jobs.month_close.explain import explain
from stream_jobs.month_close.places import Ground
from stream_jobs.month_close.rows import rows_of
from stream_jobs.month_close.scope import scopes_of
from stream_jobs.month_close.seal import make_seal, sizes
from stream_jobs.month_close.verify import verify_month

DATABASE = "rollcall_bench_close"
OCTOBER = date(2026, 10, 1)
TENANTS, SKUS, PARTS = 200, 40, 10
AGAIN = 5
"""One subject in so many has a second row, of another day, in another part."""

_ROWS = f"""
INSERT INTO active_users SELECT toDate('2026-10-01'),
    concat('customer-', leftPad(toString(n % {TENANTS}), 3, '0')),
    concat('SKU-', leftPad(toString(intDiv(n, {TENANTS}) % {SKUS}), 2, '0')),
    MD5(toString(n)),
    (
        toDateTime64('2026-10-01', 6, 'UTC') + toIntervalMicrosecond(cityHash64(n, {{round:UInt8}}) % 2592000000000),
        concat('/citrix/site-', toString(n % 12)), toString(generateUUIDv4(n))
    ),
    toUInt32(bitShiftLeft(1, 1 + cityHash64(n, {{round:UInt8}}) % 30)), 0
FROM (SELECT {{start:UInt64}} + number * {{step:UInt64}} AS n FROM numbers({{rows:UInt64}}))
"""
_FINAL = "SELECT tenant, sku, count() FROM active_users FINAL WHERE month = '2026-10-01' GROUP BY tenant, sku"


class Timing(NamedTuple):
    step: str
    seconds: float
    of_final: float
    cpu_seconds: float | None
    """Of the engine; None where it is not the local stack's."""
    memory_mb: float | None


def catalogue(allowances: bool) -> str:
    """With `allowances`, every tenth tenant has a trial of a SKU, an excluded pattern and a free user."""
    lines = ["programmes: {csp: {time_zone: UTC}}", "tenants:"]
    lines += [f"  - {{id: customer-{n:03}, name: Customer {n}}}" for n in range(TENANTS)]
    lines += ["skus:"]
    lines += [
        f"  - {{id: SKU-{n:02}, name: Product {n}, programme: csp, family: f, deployment: cloud}}" for n in range(SKUS)
    ]
    if allowances:
        some = [f"customer-{n:03}" for n in range(0, TENANTS, 10)]
        lines += ["rules:", "  - {id: t, kind: trials, valid_from: 2026-10, counted: false, source: bench}"]
        lines += ["trials:", *(f"  - {{tenant: {t}, sku: SKU-00, start: 2026-10-01, days: 30}}" for t in some)]
        lines += ["exclusions:", *(f'  - {{tenant: {t}, pattern: "adm-*", reason: administration}}' for t in some)]
        lines += ["free_users:", *(f"  - {{tenant: {t}, subject: user-{t}, reason: own-staff}}" for t in some)]
    return "\n".join(lines) + "\n"


def measure(
    settings: Settings, subjects: int = 10_000_000, rounds: int = 3, tell: Callable[[str], None] = lambda _: None
) -> list[Timing]:
    """Medians of the rounds; each step's ratio is to the bare count with FINAL of its own round."""
    clickhouse = settings.clickhouse.model_copy(update={"database": DATABASE})
    scratch = settings.model_copy(update={"clickhouse": clickhouse})
    with connect(settings, database="default") as server:
        server.command(f"DROP DATABASE IF EXISTS {DATABASE} SYNC")
        try:
            migrate(scratch)
            with connect(scratch) as client:
                tell(f"filling: {subjects:,} subjects, {subjects // AGAIN:,} of them twice")
                fill(client, subjects)
                parts, rows = _parts(client)
                tell(f"active_users: {rows:,} rows in {parts} unmerged parts")
                taken = [_round(scratch, client, subjects, number, tell) for number in range(1, rounds + 1)]
        finally:
            server.command(f"DROP DATABASE IF EXISTS {DATABASE} SYNC")
    return [_median(list(steps)) for steps in zip(*taken, strict=True)]


def fill(client: Client, subjects: int) -> None:
    """Stores the rows within the server, in parts that overlap as a month's do; they stay unmerged."""
    client.command("SYSTEM STOP MERGES active_users")
    for part in range(PARTS):
        rows = subjects // PARTS
        client.command(_ROWS, parameters={"round": 1, "start": part * rows, "step": 1, "rows": rows})
    for part in range(2):
        rows = subjects // AGAIN // 2
        client.command(_ROWS, parameters={"round": 2, "start": part, "step": 2 * AGAIN, "rows": rows})
    client.command(
        "INSERT INTO subject_names SELECT DISTINCT tenant, subject,"
        " concat(if(reinterpretAsUInt8(subject) = 0, 'adm-', 'user-'), toString(cityHash64(subject)))"
        " FROM active_users WHERE tenant LIKE 'customer-__0'"
    )
    store(client, 1, catalogue(allowances=False))


def _round(
    settings: Settings, client: Client, subjects: int, number: int, tell: Callable[[str], None]
) -> list[Timing]:
    """Every step once. The sets of earlier rounds are removed first."""
    client.command("TRUNCATE TABLE seals")
    client.command("TRUNCATE TABLE seal_subjects")
    timed: list[Timing] = []

    def step(name: str, action: Callable[[], Any]) -> Any:
        [pid] = [service.pid for service in status(settings) if service.name == "ClickHouse"]
        with _memory(pid) as memory:
            begun, used = time.perf_counter(), _cpu(pid)
            result = action()
            seconds, spent = time.perf_counter() - begun, _cpu(pid)
        base = timed[0].seconds if timed else seconds
        cpu = None if used is None or spent is None else spent - used
        timed.append(Timing(name, seconds, seconds / base, cpu, memory[0] / 1024 if memory else None))
        tell(f"round {number}: {name}: {seconds:.2f} s, {seconds / base:.2f} of FINAL")
        return result

    step("bare count with FINAL", lambda: client.query(_FINAL).result_rows)
    live = step("running estimate: rollcall counts", lambda: live_counts(client, OCTOBER))
    seal = step("close: set stored, read back, digest", lambda: _close(client, 1, 1))
    counted = {(c.tenant, c.sku): c.active_users for c in live}
    if sum(counted.values()) != subjects or sizes(seal) != counted:
        raise AssertionError("the seal does not count what was planted")
    again = step("close again, unchanged", lambda: _close(client, 2, 1))
    [verified] = step("verify", lambda: verify_month(settings, OCTOBER))
    if again != seal or not verified.holds:
        raise AssertionError("the seal does not hold")
    step("explain, first page", lambda: next(explain(settings, OCTOBER, "customer-007", "SKU-07").pages))
    store(client, 2, catalogue(allowances=True))
    left = step("close with allowances of 20 tenants", lambda: _close(client, 3, 2))
    if not {part.kind for part in left.left_out} >= {"trial", "excluded"}:
        raise AssertionError("nobody was left out")
    return timed


def _close(client: Client, number: int, version: int) -> Seal:
    """What a close does once it has passed the barrier."""
    rows = rows_of(client, OCTOBER, number)
    [scope] = scopes_of(stored_versions(client), version, OCTOBER, rows_by_cell(client, rows), [])
    ground = Ground(number, "bench", "bench", {0: number}, {0: 1}, {0: version})
    return make_seal(client, rows, scope, ground, lambda seal: {sku: "user" for _, sku in sizes(seal)})


@contextmanager
def _memory(pid: int | None) -> Iterator[list[int]]:
    """The local engine's largest resident size meanwhile, in KiB, as the list's one item; empty for another server."""
    largest: list[int] = []
    if pid is None:
        yield largest
        return
    ended = threading.Event()
    largest.append(_resident(pid))

    def watch() -> None:
        while not ended.wait(0.02):
            largest[0] = max(largest[0], _resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield largest
    finally:
        ended.set()
        watcher.join()


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _cpu(pid: int | None) -> float | None:
    if pid is None:
        return None
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _median(steps: list[Timing]) -> Timing:
    memory = [step.memory_mb for step in steps if step.memory_mb is not None]
    cpu = [step.cpu_seconds for step in steps if step.cpu_seconds is not None]
    return Timing(
        steps[0].step, statistics.median(s.seconds for s in steps), statistics.median(s.of_final for s in steps),
        statistics.median(cpu) if cpu else None, max(memory) if memory else None,
    )  # fmt: skip


def table(timings: list[Timing]) -> Table:
    table = Table(
        "step", "seconds", "of FINAL", "engine's CPU s", "engine's memory, MB", title="Closing a month",
        title_justify="left",
    )  # fmt: skip
    for step in timings:
        cpu = "" if step.cpu_seconds is None else f"{step.cpu_seconds:.1f}"
        memory = "" if step.memory_mb is None else f"{step.memory_mb:,.0f}"
        table.add_row(step.step, f"{step.seconds:.2f}", f"{step.of_final:.2f}", cpu, memory)
    return table


def _parts(client: Client) -> tuple[int, int]:
    [[parts, rows]] = client.query(
        "SELECT count(), sum(rows) FROM system.parts"
        " WHERE active AND table = 'active_users' AND database = currentDatabase()"
    ).result_rows
    return int(parts), int(rows)


def main() -> None:
    console = Console(highlight=False)
    console.print(table(measure(load_settings(), tell=console.print)))


if __name__ == "__main__":
    main()
