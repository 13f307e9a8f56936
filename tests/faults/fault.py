"""A fault by its name, and how it is done to an arena. The lists stand in the modules named for whom they hurt."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from infra.waiting import wait_until
from tests.faults.arena import Arena
from tests.faults.crew import Worker


class NotHad(Exception):
    """This machine cannot do this fault; the message says what it lacks."""


@dataclass(frozen=True)
class Fault:
    """`hurt` returns when the harm is undone but for what the workers have to make up for; at least one runs then."""

    name: str
    hurt: Callable[[Arena, Random], str | None]
    rounds: int
    """In a full run."""


def reading(worker: Worker, seconds: float = 40) -> None:
    """Waits until the worker has its partitions."""
    if not wait_until(lambda: "reading" in worker.words() or worker.process.exitcode is not None, seconds):
        raise AssertionError(f"a worker does not begin to read within {seconds:.0f} s: {worker.words()}")


def passing(arena: Arena, seconds: float) -> None:
    """Time goes by; workers that end themselves are started again."""

    def tended() -> bool:
        arena.crew.tend()
        return False

    wait_until(tended, seconds, pause=0.1)


def terminate(worker: Worker) -> None:
    worker.send(signal.SIGTERM)
