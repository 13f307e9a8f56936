"""Closes that are killed half-way, closes while events arrive and workers die, and clocks that jump."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from random import Random

from infra.clickhouse.client import connect
from infra.local.ports import LOOPBACK
from infra.waiting import wait_until
from tests.faults.arena import LARGE, WORKER, Arena
from tests.faults.fault import Fault, NotHad, reading
from tests.faults.logins import AGREEMENT_OF, FEBRUARY
from tests.faults.proxy import Proxy
from tests.faults.server_faults import working
from tests.integration.command import environment, rollcall

CLOSE_SECONDS = 90


def close_killed(arena: Arena, rng: Random) -> str:
    """A close is killed over one of its requests to ClickHouse, three times; the next one must seal the truth."""
    working(arena, **LARGE)
    killed, ended, within = list[str](), 0, 60
    with arena.arriving():
        while len(killed) < 3:
            with Proxy(arena.stack.local.clickhouse_port) as proxy:
                process = _close(arena, proxy)
                at = rng.randint(1, within)
                proxy.at[at] = process.kill
                try:
                    process.wait(CLOSE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise AssertionError("a close does not end") from None
                if process.returncode == -9:
                    killed.append(str(at))
                    continue
                assert process.returncode == 0, f"a close ended with {process.returncode}"
                ended, within = ended + 1, min(within, proxy.requests)
                assert ended < 4, f"closes end before they can be killed, the last after {within} requests"
        _closes_exactly(arena)
    return f"killed at request {', '.join(killed)}"


def close_while_events_arrive(arena: Arena, rng: Random) -> None:
    working(arena, **LARGE)
    with arena.arriving(logins=100):
        _closes_exactly(arena)


def worker_killed_while_a_close_waits(arena: Arena, rng: Random) -> None:
    """The close must get over it by itself, once a worker reads again."""
    working(arena, **LARGE)
    with arena.arriving(logins=100), ThreadPoolExecutor(1) as pool:
        closing = pool.submit(_closes_exactly, arena)
        for _ in range(3):
            wait_until(closing.done, 0.5 + 2 * rng.random())
            arena.crew.kill_all()
            reading(arena.crew.start(**LARGE))
        while not wait_until(closing.done, 1):
            arena.crew.tend()
        closing.result()


def _close(arena: Arena, proxy: Proxy) -> subprocess.Popen[bytes]:
    changes = {"ROLLCALL_CLICKHOUSE_URL": f"http://{LOOPBACK}:{proxy.port}"}
    return subprocess.Popen(
        [sys.executable, "-m", "console.main", "close", "2026-02"], env=environment(arena.settings, **changes),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _closes_exactly(arena: Arena) -> None:
    """A close that nobody kills: every seal must be the set before its control records, both ways."""
    done = rollcall(arena.settings, "close", "2026-02", timeout=CLOSE_SECONDS)
    assert done.code == 0, done.err
    arena.look()
    number = max(arena.log.closes)
    assert len(arena.log.closes[number]) == arena.settings.kafka.partitions
    expected: dict[str, set[tuple[str, str, bytes]]] = {}
    for (month, tenant, sku, subject), row in list(arena.log.expected.rows.items()):  # the watcher reads on
        if month == FEBRUARY and row.recorded_in < number:
            expected.setdefault(AGREEMENT_OF[sku], set()).add((tenant, sku, subject))
    with connect(arena.settings) as client:
        newest = dict(client.query(
            "SELECT agreement, argMax(close_number, revision) FROM seals GROUP BY agreement").result_rows)  # fmt: skip
        sealed: dict[str, set[tuple[str, str, bytes]]] = {}
        for agreement, close, tenant, sku, subject in client.query(
            "SELECT agreement, close_number, tenant, sku, subject FROM seal_subjects WHERE counted"
        ).result_rows:
            if newest.get(agreement) == close:
                sealed.setdefault(agreement, set()).add((tenant, sku, bytes(subject)))
    lacking = {a: len(e - sealed.get(a, set())) for a, e in expected.items() if e - sealed.get(a, set())}
    beyond = {a: len(s - expected.get(a, set())) for a, s in sealed.items() if s - expected.get(a, set())}
    assert not lacking, f"missing in the seals of close {number}: {lacking}"
    assert not beyond, f"extra in the seals of close {number}: {beyond}"
    verified = rollcall(arena.settings, "verify", "2026-02")
    assert verified.code == 0, verified.out + verified.err


def clock_jumps(arena: Arena, rng: Random) -> str:
    """The worker's own clock stands 400 days ahead, then behind, then 50 days ahead, while it works (libfaketime)."""
    library = _libfaketime()
    arena.crew.kill_all()
    moment = arena.folder / "moment"
    changes = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(moment), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip
    moment.write_text("+400d\n")
    said = arena.folder / "worker-clock.log"
    said.touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.launch", str(said), str(arena.crew.trace)],
        env=environment(arena.settings, **WORKER | arena.proxied | changes),
    )
    try:
        for jump in ("+400d", "-400d", "+50d", "-1h"):
            moment.write_text(f"{jump}\n")
            arena.produce()
            arena.look()
            if not wait_until(lambda: arena.watcher.lag == 0 or process.poll() is not None, 60):
                raise AssertionError(f"the worker stands still at {jump}: {said.read_text()[-2000:]}")
            assert process.poll() is None, said.read_text()[-2000:]
        year = said.read_text()[:4]
        assert year == f"{datetime.now(UTC) + timedelta(days=400):%Y}", f"its clock did not jump: {year}"
        process.terminate()
        assert process.wait(30) in (0, 70), said.read_text()[-2000:]
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
    reading(arena.crew.start())
    return f"libfaketime; its first line was logged in {year}"


def _libfaketime() -> Path:
    found = find_spec("libfaketime")
    places = [Path(folder) / "vendor/libfaketime/src/libfaketime.so.1"
              for folder in (found.submodule_search_locations or [] if found else [])]  # fmt: skip
    places.append(Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime/libfaketime.so.1")
    library = next((place for place in places if place.is_file()), None)
    if library is None:
        raise NotHad("libfaketime is not installed")
    return library


OTHERS = [
    Fault("a close killed half-way", close_killed, 3),
    Fault("a close while events arrive", close_while_events_arrive, 2),
    Fault("a worker killed while a close waits", worker_killed_while_a_close_waits, 3),
    Fault("the worker's clock jumps", clock_jumps, 2),
]
