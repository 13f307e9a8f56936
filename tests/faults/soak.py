"""Hours under load and small faults: memory must stay flat, nothing may be left to read, the sets must be exact.

Two workers share the partitions. One is killed, frozen and ended again and again; the other, the witness, is never
touched, and its memory is what is looked at.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median

from schemas.settings import Settings
from tests.faults.arena import LARGE, Arena
from tests.faults.crew import Worker
from tests.faults.fault import passing, reading
from tests.faults.proxy import Fault
from tests.faults.run import Results, table

SAMPLE_SECONDS = 10.0
GROWTH = 1.10
"""The witness's memory in the last quarter may be so many times that of the second one; the first is warming up."""
USERS = 3_000
LOGINS, PAUSE = 100, 0.12


def soak(stack: Settings, folder: Path, seed: int, minutes: float, tell: Callable[[str], None]) -> int:
    """The exit code: 0 when all held."""
    rng, sizes, lags = Random(seed), list[float](), list[int]()
    with Arena(stack, folder, seed, users=USERS, watch=2.0) as arena:
        crew = arena.crew
        witness = crew.start(**LARGE)
        victim = crew.start(**LARGE)
        reading(witness)
        servers = {name: arena.pid_of(name) for name in ("Kafka", "ClickHouse")}
        before = {name: rss(pid) for name, pid in servers.items()}
        begun = time.monotonic()
        with arena.round(f"soak of {minutes:g} minutes", seed) as this, arena.arriving(LOGINS, PAUSE):
            hurt_at = begun + 30
            while time.monotonic() < begun + 60 * minutes:
                passing(arena, SAMPLE_SECONDS)
                if witness.process.exitcode is not None:
                    raise AssertionError(f"the witness ended: {witness.words()}")
                sizes.append(rss(witness.pid))
                lags.append(arena.watcher.lag or 0)
                if time.monotonic() > hurt_at:
                    victim, what = hurt(arena, rng, victim)
                    tell(f"{(time.monotonic() - begun) / 60:5.1f} min  {what}; witness {sizes[-1]:.0f} MB, "
                         f"lag {lags[-1]}, events {arena.log.events:,}")  # fmt: skip
                    hurt_at = time.monotonic() + rng.uniform(10, 30)
        seconds = time.monotonic() - begun
        after = {name: rss(pid) for name, pid in servers.items()}
        left = arena.watcher.look()
    quarter = max(1, len(sizes) // 4)
    warm, last = median(sizes[quarter : 2 * quarter] or sizes), median(sizes[-quarter:])
    results = Results([this])
    tell(table(results))
    tell(f"{this.events / seconds:,.0f} events a second; the witness: {warm:.0f} MB in the second quarter, "
         f"{last:.0f} MB in the last; greatest lag {max(lags)} records, at the end {left}")  # fmt: skip
    for name in servers:
        tell(f"{name}: {before[name]:.0f} MB at the start, {after[name]:.0f} MB at the end")
    flat = last <= GROWTH * warm
    tell("flat and exact" if flat and results.holds and left == 0 else "NOT SO")
    return 0 if flat and results.holds and left == 0 else 1


def hurt(arena: Arena, rng: Random, victim: Worker) -> tuple[Worker, str]:
    """One small fault; the worker that is the victim from now on, and what was done."""
    crew = arena.crew
    if victim not in crew.workers:  # it ended itself, and was started again
        victim = crew.workers[-1]
    what = rng.choice(("kill -9", "kill -9", "SIGTERM", "frozen for 3 s", "an answer cut off", "out of disk for 2 s"))
    if what == "kill -9":
        crew.kill(victim)
        victim = crew.start(**LARGE)
    elif what == "SIGTERM":
        crew.stop(victim)
        passing(arena, 3)
        victim = crew.start(**LARGE)
    elif what == "frozen for 3 s":
        victim.send(signal.SIGSTOP)
        passing(arena, 3)
        victim.send(signal.SIGCONT)
    elif what == "an answer cut off":
        arena.proxy.set(Fault("applied-then-cut", times=1))
    else:
        with arena.proxy.broken(Fault("answer", code=243, text="Code: 243. DB::Exception: no room (NOT_ENOUGH_SPACE)")):
            passing(arena, 2)
    return victim, what


def rss(pid: int) -> float:
    """Resident memory in MB."""
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in fields if line.startswith("VmRSS"))
