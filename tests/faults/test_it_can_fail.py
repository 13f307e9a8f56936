"""The suite finds what it is there to find: with a rule broken on purpose its verdict is "not exact"."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from infra.waiting import wait_until
from schemas.settings import Settings
from tests.faults.arena import LARGE, Arena
from tests.faults.logins import FEBRUARY, Logins
from tests.faults.proxy import Fault
from tests.faults.truth import Difference, Row, State, compare
from tests.faults.watcher import AWAY

MEMBER = (FEBRUARY, "customer-a", "DAAS-STD-T1", bytes(16))
ROW = Row((5, "/a", "1"), 0b110, 2)


def committed(arena: Arena) -> int:
    """The sum over partitions; 0 while the group has no coordinator, as on a Kafka that has just been started."""
    with suppress(*AWAY):
        return sum(arena.watcher.committed().values())
    return 0


@pytest.mark.parametrize("rule", ["commit_first", "done_first"])
def test_a_commit_before_the_insert_is_found(arena: Arena, rule: str) -> None:
    """The commit rule or the acknowledgement order broken: the watcher sees commits ahead of the store while inserts
    hang, and a kill then loses users."""
    arena.produce()
    with arena.round(rule, 1) as this:
        with arena.proxy.broken(Fault("hang")):
            worker = arena.crew.start(patches=(rule,))
            assert wait_until(lambda: committed(arena) > 0, 60), worker.words()
            arena.crew.kill(worker)
        arena.look()
        arena.crew.start()
    assert this.ahead > 0
    assert this.found.missing > 0
    assert this.found.extra == 0
    assert not this.holds


def test_nothing_is_committed_while_inserts_hang(arena: Arena) -> None:
    """The same with the rules as they are."""
    arena.produce()
    with arena.round("hang", 1) as this:
        with arena.proxy.broken(Fault("hang")):
            worker = arena.crew.start()
            assert wait_until(lambda: arena.proxy.spoilt > 0, 60), worker.words()
            assert not wait_until(lambda: committed(arena) > 0, 3)
            arena.crew.kill(worker)
        arena.crew.start()
    assert this.holds, this


def test_a_cache_ahead_of_the_store_is_found(hurt_stack: Settings, tmp_path: Path) -> None:
    """After a failed insert it takes for stored what is not: days are missing from rows. (Users are not: the event that
    a remembered row began with is never skipped.)"""
    with Arena(hurt_stack, tmp_path, seed=5, users=30) as arena:
        arena.produce()
        with arena.round("learn_first", 1) as this:
            full = "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"
            with arena.proxy.broken(Fault("answer", times=3, code=243, text=full)):
                arena.crew.start(patches=("learn_first",), **LARGE)
                arena.settle()
    assert this.found.wrong > 0
    assert this.ahead > 0
    assert not this.holds


def test_events_set_aside_without_their_bytes_are_found(arena: Arena) -> None:
    """What was set aside in the table alone could not be replayed."""
    arena.produce(300)
    with arena.round("aside_in_name", 1) as this:
        arena.crew.start(patches=("aside_in_name",), **LARGE)
    assert this.found.not_kept > 0
    assert not this.holds


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        (State({MEMBER: ROW}, {(0, 1, 0)}), Difference()),
        (State({}, {(0, 1, 0)}), Difference(missing=1)),
        (State({MEMBER: ROW, (*MEMBER[:3], bytes(15) + b"x"): ROW}, {(0, 1, 0)}), Difference(extra=1)),
        (State({MEMBER: ROW._replace(days=0b10)}, {(0, 1, 0)}), Difference(wrong=1)),
        (State({MEMBER: ROW._replace(first=(6, "/a", "1"))}, {(0, 1, 0)}), Difference(wrong=1)),
        (State({MEMBER: ROW._replace(recorded_in=0)}, {(0, 1, 0)}), Difference(wrong=1)),
        (State({MEMBER: ROW}), Difference(not_aside=1)),
        (State({MEMBER: ROW}, {(0, 1, 0), (0, 2, 0)}), Difference(wrongly_aside=1)),
        (State({MEMBER: ROW}, {(0, 1, 0)}, {(0, 1, 0)}), Difference()),
        (State({MEMBER: ROW}, {(0, 1, 0)}, set()), Difference(not_kept=1)),
        (State({MEMBER: ROW}, {(0, 1, 0)}, {(0, 1, 0), (0, 2, 0)}), Difference(not_kept=1)),
    ],
)
def test_every_kind_of_difference_is_one(found: State, difference: Difference) -> None:
    assert compare(State({MEMBER: ROW}, {(0, 1, 0)}), found) == difference
    assert bool(difference) == (difference != replace(difference, **dict.fromkeys(vars(difference), 0)))


def test_the_generator_is_seeded_and_repeats_itself() -> None:
    events = Logins(3).next(4_000)
    assert events == Logins(3).next(4_000)
    distinct = len({event.raw for event in events})
    assert 0.25 < 1 - distinct / len(events) < 0.35
    bad = sum(event.login is None for event in events) / len(events)
    assert 0.01 < bad < 0.03
