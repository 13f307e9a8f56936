"""The workers of this machine, as they say themselves: asked over HTTP, seat by seat."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from schemas.settings import Settings

ANSWER_SECONDS, MOST = 2.0, 32


class WorkerHealth(NamedTuple):
    """`why` has what is not well, a sentence each."""

    seat: int
    address: str
    ready: bool
    stuck: bool
    partitions: list[int]
    lag_records: int
    seconds_since_progress: float
    why: list[str]


def read_workers(settings: Settings, group: str) -> list[WorkerHealth]:
    """Those that sit on this machine's seats, whether they answer on their ports or not."""
    if settings.metrics.port == 0:
        return []
    seats = [settings.home / "seats" / f"{group}-{seat}.lock" for seat in range(MOST)]
    taken = [seat for seat, file in enumerate(seats) if file.exists()]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seat: _ask(settings, group, seat), taken))
    for at, seat in enumerate(taken):
        if found[at] is None and _held(seats[seat]):
            address = f"http://{settings.metrics.host}:{settings.metrics.port + seat}"
            why = f"it runs, and does not answer at {address}: it hangs, or its port is another"
            found[at] = WorkerHealth(seat, address, False, False, [], 0, 0.0, [why])
    return [worker for worker in found if worker is not None]


def _held(lock: Path) -> bool:
    """Whether somebody has locked the file; looked up, since to try the lock would be in a worker's way."""
    inode = str(lock.stat().st_ino)
    with suppress(OSError):  # no /proc: nobody knows
        fields = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
        return any("FLOCK" in each and each[-3].rpartition(":")[2] == inode for each in fields)
    return False


def _ask(settings: Settings, group: str, seat: int) -> WorkerHealth | None:
    address = f"http://{settings.metrics.host}:{settings.metrics.port + seat}"
    facts: dict[str, Any] = {}
    with suppress(OSError, ValueError, KeyError):
        try:
            with build_opener(ProxyHandler({})).open(f"{address}/health/ready", timeout=ANSWER_SECONDS) as reply:
                facts = json.load(reply)
        except HTTPError as refusal:  # 503: its body has the facts too
            facts = json.load(refusal)
        if facts["group"] != group:  # of another installation that began with the same port
            return None
        return WorkerHealth(
            seat, address, facts["ready"], facts["stuck"], facts["partitions"], facts["lag_records"],
            facts["seconds_since_progress"], facts["why"],
        )  # fmt: skip
    return None
