"""The workers of one arena, and the supervisor that starts those again which ended themselves."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from infra.waiting import wait_until
from schemas.settings import Settings
from stream_jobs.dedup.failpoints import VARIABLE
from tests.faults.launch import launch
from tests.integration.command import environment

AGAIN = {70, 3}
"""Exit codes upon which a supervisor starts a worker again: it ended itself, or a server was out of reach."""
BACK_OFF = 0.5


class Ended(AssertionError):
    """A worker ended in a way that no supervisor can cure, or did not end when it should."""


@dataclass
class Worker:
    process: ForkServerProcess
    said: Path
    patches: tuple[str, ...]
    changes: dict[str, str]
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        if self.process.is_alive():
            os.kill(self.pid, number)

    def frozen(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def words(self) -> str:
        return self.said.read_text("utf-8", "replace")[-2_000:]


class Crew:
    """Workers in order of their start. `changes` are settings by variable, on top of the arena's."""

    def __init__(self, settings: Settings, folder: Path, changes: dict[str, str]) -> None:
        self._settings, self._folder, self._changes = settings, folder, changes
        self.workers: list[Worker] = []
        self.trace = folder / "trace"
        self.starts = self.restarts = self.kills = 0
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, failpoint: str = "", patches: tuple[str, ...] = (), **changes: str) -> Worker:
        self.starts += 1
        said = self._folder / f"worker-{self.starts}.log"
        said.touch()
        named = environment(self._settings, **self._changes | changes, **{VARIABLE: failpoint} if failpoint else {})
        worker = Worker(launch(named, said, self.trace, patches), said, patches, changes)
        self.workers.append(worker)
        return worker

    def tend(self) -> None:
        """Starts again whoever ended itself. Raises Ended for an end that a start does not cure."""
        for worker in list(self.workers):
            code = worker.process.exitcode
            if code is None:
                continue
            self.workers.remove(worker)
            if code not in AGAIN:
                raise Ended(f"a worker ended with {code}: {worker.words()}")
            time.sleep(BACK_OFF)
            self.restarts += 1
            self.start("", worker.patches, **worker.changes)

    def died(self, worker: Worker, seconds: float = 30) -> bool:
        """Waits for a worker that kills itself; False when it does not. Raises Ended for another end."""
        if not wait_until(lambda: worker.process.exitcode is not None, seconds):
            return False
        self.workers.remove(worker)
        if worker.process.exitcode != -signal.SIGKILL:
            raise Ended(f"a worker ended with {worker.process.exitcode}: {worker.words()}")
        self.kills += 1
        return True

    def kill(self, worker: Worker) -> None:
        """`kill -9`, from outside."""
        if worker in self.workers:
            self.workers.remove(worker)
        if worker.process.is_alive():
            self.kills += 1
            worker.process.kill()
        worker.process.join(10)

    def stop(self, worker: Worker, seconds: float = 40, *, emergency: bool = True) -> None:
        """SIGTERM; the worker must end with 0, or, where it may, with 70: its way out when a server keeps it."""
        self.workers.remove(worker)
        worker.send(signal.SIGTERM)
        worker.process.join(seconds)
        code = worker.process.exitcode
        if code is None:
            worker.process.kill()
        self.restarts += code == 70
        if code != 0 and not (emergency and code == 70):
            raise Ended(f"a worker ended with {code} after SIGTERM: {worker.words()}")

    def kill_all(self) -> None:
        for worker in list(self.workers):
            self.kill(worker)

    def done_records(self) -> tuple[int, int]:
        """Records that were stored, repeats included, and without them."""
        total, seen = 0, set()
        if self.trace.exists():
            for line in self.trace.read_text().splitlines():
                partition, first, last = map(int, line.split())
                total += last - first + 1
                seen.update((partition, offset) for offset in range(first, last + 1))
        return total, len(seen)
