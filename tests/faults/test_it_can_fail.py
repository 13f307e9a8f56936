"""The suite finds what it is there to find: with a rule broken on purpose its verdict is "not exact"."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.arena import Arena
from tests.faults.logins import FEBRUARY, Logins
from tests.faults.proxy import Fault
from tests.faults.truth import Difference, Row, State, compare

MEMBER = (FEBRUARY, "customer-a", "DAAS-STD-T1", bytes(16))
ROW = Row((5, "/a", "1"), 0b110, 2)


def test_a_commit_before_the_insert_is_found(arena: Arena) -> None:
    """The commit rule broken: the watcher sees commits ahead of the store, and a kill then loses users."""
    arena.produce()
    with arena.round("commit before done", 1) as this:
        worker = arena.crew.start("before-insert:6", patches=("commit_first",))
        assert arena.crew.died(worker, 60), worker.words()
        arena.look()
        arena.crew.start()
    assert this.ahead > 0
    assert this.found.missing > 0
    assert this.found.extra == 0
    assert not this.holds


def test_a_cache_that_learns_before_the_insert_is_found(arena: Arena) -> None:
    """The acknowledgement order broken: after one failed insert the cache takes for stored what is not."""
    arena.produce()
    with arena.round("cache before insert", 1) as this:
        full = "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"
        with arena.proxy.broken(Fault("answer", times=3, code=243, text=full)):
            arena.crew.start(patches=("learn_first",))
            arena.settle()
    assert this.found.missing > 0
    assert this.ahead > 0
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
