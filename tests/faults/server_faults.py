"""Kafka and ClickHouse that die, stay away, fill up, hang, refuse, or are slow; a producer that dies."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

from infra.waiting import wait_until
from tests.faults.arena import LARGE, Arena
from tests.faults.fault import Fault, NotHad, passing, reading
from tests.faults.proxy import Fault as Spoil
from tests.faults.sender import killed_mid_flush
from tests.faults.stack import almost_full, clickhouse_disk, kafka_disk
from tests.faults.worker_faults import QUICK


def working(arena: Arena, **changes: str) -> None:
    """One worker, reading; its settings are the arena's and these."""
    crew = arena.crew
    if len(crew.workers) != 1 or crew.workers[0].changes != changes or crew.workers[0].patches:
        crew.kill_all()
        crew.start(**changes)
    reading(crew.workers[0])


def kafka_killed(seconds: float) -> Callable[[Arena, Random], None]:
    def hurt(arena: Arena, rng: Random) -> None:
        working(arena)
        with arena.arriving():
            passing(arena, 1 + rng.random())
            arena.kill_server("Kafka")
            passing(arena, seconds)
            arena.mend()
            passing(arena, 1)

    return hurt


def kafka_full(arena: Arena, rng: Random) -> str:
    """Its file system (a small tmpfs) has no room left: Kafka ends itself; then there is room again."""
    disk = _own_disk(kafka_disk(arena.stack))
    working(arena)
    arena.produce()
    pid = arena.pid_of("Kafka")

    def ended() -> bool:
        arena.crew.tend()
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    with arena.arriving(logins=200, pause=0.0):
        with almost_full(disk, 64 * 1024):
            gone = wait_until(ended, 40, pause=0.2)
            passing(arena, 2)
        if not gone:
            arena.kill_server("Kafka")
        arena.mend()
    return "Kafka ended itself" if gone else "Kafka went on without writing; it was killed"


def clickhouse_full(arena: Arena, rng: Random) -> str:
    """The same for ClickHouse: inserts fail for want of room, half-way or at once; then there is room again."""
    disk = _own_disk(clickhouse_disk(arena.stack))
    working(arena, **LARGE)
    arena.watcher.reset_pause()
    with arena.arriving(logins=200, pause=0.0):
        with almost_full(disk, 0) as fill:

            def failed() -> bool:
                fill()  # merges free what they have merged
                return "trying again" in arena.crew.workers[0].words()

            if not wait_until(failed, 60, pause=0.1):
                raise AssertionError(f"no insert failed: {arena.crew.workers[0].words()}")
            passing(arena, 6)
        arena.mend()
    said = [line for worker in arena.crew.workers for line in worker.words().splitlines() if "succeeded" in line]
    return said[-1].partition("inserting")[2] if said else ""


def _own_disk(disk: Path) -> Path:
    if not os.path.ismount(disk):
        raise NotHad("a file system of its own cannot be mounted here: run as root")
    return disk


def producer_killed(arena: Arena, rng: Random) -> str:
    working(arena)
    return killed_mid_flush(arena, rng)


def clickhouse_killed(seconds: float) -> Callable[[Arena, Random], None]:
    """In the middle of an insert's body; it is away for so long."""

    def hurt(arena: Arena, rng: Random) -> None:
        working(arena)
        killed = threading.Event()

        def kill() -> None:
            arena.kill_server("ClickHouse")
            killed.set()

        with arena.arriving(), arena.proxy.broken(Spoil("half", times=1, hook=kill)):
            if not killed.wait(60):
                raise AssertionError("no insert came")
            passing(arena, seconds)
            arena.mend()

    return hurt


def spoilt(spoil: Callable[[], Spoil], seconds: float, **changes: str) -> Callable[[Arena, Random], str]:
    """Between worker and ClickHouse it goes wrong for so long, while events arrive."""

    def hurt(arena: Arena, rng: Random) -> str:
        working(arena, **changes)
        before = arena.proxy.spoilt
        with arena.arriving():
            with arena.proxy.broken(spoil()):
                if not wait_until(lambda: arena.proxy.spoilt > before, 30):
                    raise AssertionError("nothing came that could be spoilt")
                passing(arena, seconds)
            passing(arena, 0.5)
        return f"{arena.proxy.spoilt - before} requests spoilt"

    return hurt


def _exception(code: int, text: str) -> Callable[[], Spoil]:
    return lambda: Spoil("answer", code=code, text=f"Code: {code}. DB::Exception: {text}", inserts=True)


_WATCHED = {"ROLLCALL_WORKER_STALL_SECONDS": "6"}
_IMPATIENT = {"ROLLCALL_CLICKHOUSE_TIMEOUT_SECONDS": "2"}

KAFKA = [
    Fault("Kafka killed and restarted", kafka_killed(0.0), 2),
    Fault("Kafka away for 30 s", kafka_killed(30.0), 1),
    Fault("Kafka's disk is full", kafka_full, 1),
    Fault("a producer killed mid-flush", producer_killed, 3),
]
CLICKHOUSE = [
    Fault("ClickHouse killed mid-insert", clickhouse_killed(0.0), 3),
    Fault("ClickHouse killed mid-insert, away for 15 s", clickhouse_killed(15.0), 1),
    Fault("ClickHouse hangs for 8 s", spoilt(lambda: Spoil("hang", inserts=False), 8), 2),
    Fault("ClickHouse hangs, the watchdog acts", spoilt(lambda: Spoil("hang"), 10, **_WATCHED), 2),
    Fault("ClickHouse hangs past the session time-out",
          spoilt(lambda: Spoil("hang"), 9, **QUICK, **_IMPATIENT), 1),
    Fault("ClickHouse answers a bare 500", spoilt(lambda: Spoil("answer", text="oh no", inserts=False), 4), 2),
    Fault("ClickHouse answers a bare 503",
          spoilt(lambda: Spoil("answer", status=503, text="no upstream", inserts=False), 4), 1),
    Fault("ClickHouse says that it is read-only",
          spoilt(_exception(242, "Table is in readonly mode. (TABLE_IS_READ_ONLY)"), 4), 2),
    Fault("ClickHouse's disk is full", clickhouse_full, 2),
    Fault("ClickHouse says that its disk is full",
          spoilt(_exception(243, "Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"), 4), 2),
    Fault("ClickHouse is ten times slower", spoilt(lambda: Spoil("slow", inserts=False), 6), 2),
    Fault("an insert times out but was applied",
          spoilt(lambda: Spoil("applied-then-silent", times=3), 5, **_IMPATIENT), 3),
    Fault("an insert was applied, its answer cut off", spoilt(lambda: Spoil("applied-then-cut", times=6), 2), 3),
]  # fmt: skip
