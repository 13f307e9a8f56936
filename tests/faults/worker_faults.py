"""Workers that are killed at named places, ended, frozen; that come and go; that read everything again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from random import Random

from kafka import OffsetAndMetadata, TopicPartition

from infra.kafka.connection import admin_client, kafka_python_options
from infra.waiting import wait_until
from tests.faults.arena import LARGE, Arena
from tests.faults.fault import Fault, passing, reading, terminate

QUICK = {"ROLLCALL_WORKER_SESSION_SECONDS": "6"}
FROZEN_SECONDS = 9.0
"""Longer than QUICK's session."""
LONGEST_PAUSE = 60.0
"""Of a partition while workers come and go: a session of 10 s and a slow machine's starts, several times over."""
# How often a worker may pass a place before it is killed there: as often as each portion of events surely makes it.
_TIMES = {"start": 1, "assigned": 1, "set-aside": 1, "shutdown": 1, "leaving": 1, "revoked": 1}


def killed_at(place: str) -> Callable[[Arena, Random], None]:
    """The worker dies at the place, and so does, half of the time, the one that comes after it."""

    def hurt(arena: Arena, rng: Random) -> None:
        crew = arena.crew
        crew.kill_all()
        for turn in range(rng.choice((1, 2))):
            if turn == 0 or place not in ("start", "assigned"):
                arena.produce()
            worker = crew.start(f"{place}:{rng.randint(1, _TIMES.get(place, 3))}")
            if place in ("shutdown", "leaving"):
                reading(worker)
                wait_until(lambda: False, rng.random() * 0.4)
                terminate(worker)
            if place == "revoked":
                reading(worker)
                other = crew.start()
            if not crew.died(worker, 60):
                raise AssertionError(f"the place {place} was not reached: {worker.words()}")
            arena.look()
            if place == "revoked":
                crew.kill(other)
        crew.start()

    return hurt


def killed_while_another_joins(arena: Arena, rng: Random) -> None:
    """One worker reads; a second joins; one of the two dies when it is given its partitions."""
    crew = arena.crew
    arena.produce()
    if not crew.workers:
        crew.start()
    second = crew.start("assigned:1")
    if not crew.died(second, 60):
        raise AssertionError(f"the second worker was given no partitions: {second.words()}")
    arena.produce()
    third = crew.start(f"{rng.choice(('before-insert', 'after-insert', 'done'))}:1")
    died = crew.died(third, 30)  # it may have been given partitions without anything new in them
    if not died:
        crew.kill(third)
    arena.look()
    crew.kill_all()
    crew.start()


def killed_at_any_moment(arena: Arena, rng: Random) -> None:
    crew = arena.crew
    crew.kill_all()
    arena.produce()
    worker = crew.start()
    reading(worker)
    time.sleep(rng.random() * 0.5)
    crew.kill(worker)
    arena.look()
    crew.start()


def terminated(arena: Arena, rng: Random) -> None:
    """SIGTERM under load: it ends with 0, and what it had in hand is stored and committed or read again."""
    crew = arena.crew
    crew.kill_all()
    with arena.arriving():
        worker = crew.start()
        reading(worker)
        time.sleep(rng.random())
        crew.stop(worker, emergency=False)
        arena.look()
        crew.start()


def frozen_at(place: str) -> Callable[[Arena, Random], None]:
    """SIGSTOP at the place until the session is over and another worker has the partitions; then SIGCONT."""

    def hurt(arena: Arena, rng: Random) -> None:
        crew = arena.crew
        crew.kill_all()
        arena.produce()
        worker = crew.start(f"{place}:{rng.randint(1, 3)}:stop", **QUICK)
        if not wait_until(worker.frozen, 60):
            raise AssertionError(f"the place {place} was not reached: {worker.words()}")
        reading(crew.start(**QUICK))
        arena.produce()
        if not wait_until(lambda: arena.looked() and arena.watcher.lag == 0, 60):
            raise AssertionError("nobody has taken over what the frozen worker had")
        assert worker.frozen(), "it did not stay frozen"
        worker.send(signal.SIGCONT)
        arena.produce()

    return hurt


def frozen_alone(arena: Arena, rng: Random) -> None:
    """SIGSTOP at any moment past the session time-out, with nobody to take over; the worker must come back."""
    crew = arena.crew
    crew.kill_all()
    worker = crew.start(**QUICK)
    reading(worker)
    arena.produce()
    time.sleep(rng.random() * 0.3)
    worker.send(signal.SIGSTOP)
    wait_until(lambda: False, FROZEN_SECONDS)
    arena.produce()
    worker.send(signal.SIGCONT)


def come_and_go(*patches: str) -> Callable[[Arena, Random], None]:
    """One to three workers, joining, leaving and dying under load."""

    def hurt(arena: Arena, rng: Random) -> None:
        crew = arena.crew
        crew.kill_all()
        first = crew.start(patches=patches, **LARGE)
        reading(first)
        arena.watcher.reset_pause()
        with arena.arriving():
            passing(arena, 2)
            second, third = crew.start(patches=patches, **LARGE), crew.start(patches=patches, **LARGE)
            reading(second)
            reading(third)
            passing(arena, 2)
            leaving, dying = rng.sample([first, second, third], 2)
            crew.stop(leaving)
            passing(arena, 1)
            crew.kill(dying)
            if rng.random() < 0.5:
                reading(crew.start(patches=patches, **LARGE))
            passing(arena, 3)
        pause = arena.watcher.longest_pause
        assert pause < LONGEST_PAUSE, f"a partition stood still for {pause:.0f} s"

    return hurt


def sent_again(arena: Arena, rng: Random) -> None:
    """A broker sends its whole history once more, and a worker dies over it."""
    crew = arena.crew
    crew.kill_all()
    arena.produce()
    arena.replay()
    worker = crew.start(f"{rng.choice(('between-inserts', 'after-insert', 'done'))}:{rng.randint(2, 5)}")
    if not crew.died(worker, 60):
        raise AssertionError(f"the place was not reached: {worker.words()}")
    arena.look()
    crew.start(**LARGE)


def read_again(arena: Arena, rng: Random) -> None:
    """The group's offsets are set back to the start of the log, and a worker dies on its way through it."""
    crew = arena.crew
    for worker in list(crew.workers):
        crew.stop(worker)
    arena.produce()
    begin = {TopicPartition(arena.settings.kafka.topic, p): OffsetAndMetadata(0, "", -1) for p in arena.log.next}
    group = f"{arena.settings.kafka.group}-g1"

    def set_back() -> bool:
        with admin_client(kafka_python_options(arena.settings.kafka)) as admin:
            admin.alter_group_offsets(group, begin)
        return not any(arena.watcher.committed().values())

    if not wait_until(set_back, 40, pause=1.0):  # members that were killed keep the group until their sessions end
        raise AssertionError("the group's offsets cannot be set back")
    worker = crew.start(f"{rng.choice(('before-insert', 'after-insert', 'done'))}:{rng.randint(2, 6)}")
    if not crew.died(worker, 60):
        raise AssertionError(f"the place was not reached: {worker.words()}")
    arena.look()
    crew.start(**LARGE)


_KILLS = {
    "start": "at start", "assigned": "when partitions are assigned", "folded": "after the fold",
    "set-aside": "while quarantining", "before-insert": "before an insert", "between-inserts": "between inserts",
    "after-insert": "after the insert, before done", "done": "between done and commit",
    "committed": "after a commit", "revoked": "when partitions are revoked", "shutdown": "at shutdown",
    "leaving": "when it leaves the group",
}  # fmt: skip

KILLS = [
    *(Fault(f"kill -9 {words}", killed_at(place), 8) for place, words in _KILLS.items()),
    Fault("kill -9 at any moment", killed_at_any_moment, 10),
    Fault("kill -9 while another joins", killed_while_another_joins, 4),
]
OTHERS = [
    Fault("SIGTERM under load", terminated, 3),
    Fault("frozen before an insert, past its session", frozen_at("before-insert"), 2),
    Fault("frozen after an insert, past its session", frozen_at("after-insert"), 2),
    Fault("frozen before a commit, past its session", frozen_at("done"), 2),
    Fault("frozen alone, past its session", frozen_alone, 2),
    Fault("1 to 3 workers come and go, static members", come_and_go(), 3),
    Fault("1 to 3 workers come and go, dynamic members", come_and_go("dynamic"), 3),
    Fault("the whole history is sent again", sent_again, 2),
    Fault("the whole topic is read again", read_again, 2),
]
