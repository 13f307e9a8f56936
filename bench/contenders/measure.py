"""How every contender is measured: from the first fetched record to the last processed one, wall clock and CPU."""

from __future__ import annotations

import json
import time
from pathlib import Path


class Stopwatch:
    """CPU is this process's, all threads. `start` and `lap` may be called again and again."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None
        self._ended = (0.0, 0.0)

    def start(self) -> None:
        """At the first records; later calls change nothing."""
        if self._begun is None:
            self._begun = time.perf_counter(), time.process_time()

    def lap(self) -> None:
        """Something was finished."""
        self._ended = time.perf_counter(), time.process_time()

    def report(self, events: int, users: int, **more: float) -> None:
        """One JSON line on standard output, for the bench that started this process."""
        begun = self._begun or self._ended
        wall, cpu = self._ended[0] - begun[0], self._ended[1] - begun[1]
        print(json.dumps({"events": events, "users": users, "wall": wall, "cpu": cpu, **more}))


def peak_mb(pid: int) -> float:
    """The largest resident size of a running process so far, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
