"""The fault suite in short, for every change: a worker killed once at each place, a server killed, a lost answer.

`make faults` does it at length (docs/reliability.md).
"""

from __future__ import annotations

from random import Random

from tests.faults.arena import Arena
from tests.faults.server_faults import CLICKHOUSE
from tests.faults.worker_faults import frozen_at

PLACES = ("set-aside", "before-insert", "between-inserts", "after-insert", "done", "committed")


def test_a_worker_killed_at_each_place_loses_nobody(arena: Arena) -> None:
    """One after the other, each reads on from what the one before left."""
    with arena.round("kill -9 at each place", 1) as this:
        for place in PLACES:
            arena.produce(120)
            worker = arena.crew.start(f"{place}:1")
            assert arena.crew.died(worker, 60), f"{place} was not reached: {worker.words()}"
            arena.look()
        arena.crew.start()
    assert this.holds, this
    assert this.kills == len(PLACES)
    assert this.events > 6 * 120

    [cut_off] = [fault for fault in CLICKHOUSE if "answer cut off" in fault.name]
    with arena.round(cut_off.name, 2) as this:
        cut_off.hurt(arena, Random(2))
    assert this.holds, this
    assert arena.proxy.spoilt > 0


def test_a_worker_frozen_past_its_session_does_not_commit_for_another(arena: Arena) -> None:
    with arena.round("frozen before a commit", 3) as this:
        frozen_at("done")(arena, Random(3))
    assert this.holds, this
