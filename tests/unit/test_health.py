"""Health by progress: a clock of the test's own decides when a worker is stuck, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from stream_jobs.dedup.health import Health, Look

STUCK, STALL = 60.0, 300.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(STUCK, STALL, clock)


IDLE = Look(0, stored=10, read=10, end=10)
IN_HAND = Look(0, stored=10, read=20, end=20, oldest=500.0)
UNREAD = Look(0, stored=10, read=10, end=20)
MARKED = Look(0, stored=10, read=11, end=11)
"""The last offset is a transaction's mark: no record waits there, and none ever will."""


def run(health: Health, clock: Clock, look: Look, seconds: float, *, answered: bool = True) -> None:
    """The same look every two seconds."""
    for _ in range(int(seconds / 2)):
        clock.now += 2
        health.looked([look], joined=True, answered=answered)


@pytest.mark.parametrize("look", [IDLE, MARKED])
def test_who_has_nothing_to_do_is_well_for_ever(health: Health, clock: Clock, look: Look) -> None:
    run(health, clock, look, 10 * STALL)
    verdict = health.judge()
    assert (verdict.live, verdict.ready, verdict.stuck, verdict.why) == (True, True, False, ())
    assert look.lag == 0


@pytest.mark.parametrize("look", [IN_HAND, UNREAD])
def test_what_waits_and_does_not_move_is_stuck_and_later_not_alive(health: Health, clock: Clock, look: Look) -> None:
    health.looked([look], joined=True, answered=True)
    run(health, clock, look, STUCK)
    assert not health.judge().stuck
    run(health, clock, look, 2)
    verdict = health.judge()
    assert (verdict.live, verdict.ready, verdict.stuck) == (True, False, True)
    assert "10 records wait" in verdict.why[0]
    run(health, clock, look, STALL)
    assert not health.judge().live


def test_a_step_forward_is_enough(health: Health, clock: Clock) -> None:
    for offset in range(10, 200):
        health.looked([Look(0, offset, 300, 300, oldest=1.0)], joined=True, answered=True)
        clock.now += STUCK
        assert not health.judge().stuck


def test_reading_on_counts_as_moving_too(health: Health, clock: Clock) -> None:
    """A log of records that hold nothing to store yet, such as one large batch being fetched."""
    for offset in range(10, 50):
        health.looked([Look(0, 10, offset, 300)], joined=True, answered=True)
        clock.now += STUCK
        assert not health.judge().stuck


def test_a_loop_that_hangs_is_stuck_though_it_was_idle(health: Health, clock: Clock) -> None:
    run(health, clock, IDLE, 10)
    clock.now += STUCK + 1
    assert health.judge().stuck


def test_kafka_away_is_not_stuck_but_not_ready(health: Health, clock: Clock) -> None:
    """To start again would not help: what Kafka cannot tell is not known to wait."""
    run(health, clock, UNREAD, 10)
    run(health, clock, UNREAD, STALL, answered=False)
    verdict = health.judge()
    assert (verdict.live, verdict.stuck, verdict.ready) == (True, False, False)
    assert "Kafka has not told" in verdict.why[0]
    run(health, clock, IN_HAND, 2, answered=False)  # it moved
    run(health, clock, IN_HAND, STUCK + 2, answered=False)
    assert health.judge().stuck, "what is in hand has to be stored, Kafka or not"


def test_ready_is_joined_and_placed(health: Health, clock: Clock) -> None:
    health.looked([], joined=False, answered=True)
    assert "has not given it partitions" in health.judge().why[0]
    health.looked([], joined=True, answered=True)
    assert health.judge().ready, "one that stands by is ready"
    health.looked([Look(3, 10, None, 20)], joined=True, answered=True)
    assert "partitions 3 is not known" in health.judge().why[0]
    health.looked([IDLE], joined=True, answered=True)
    health.ending()
    assert health.judge().why == ("it was asked to end",)


def test_one_partition_that_moves_does_not_excuse_a_hung_loop_only(health: Health, clock: Clock) -> None:
    """Progress is the worker's: batches of all partitions go through one line, in order."""
    for offset in range(10, 100):
        health.looked([UNREAD, Look(1, offset, 300, 300, oldest=1.0)], joined=True, answered=True)
        clock.now += 30
    assert not health.judge().stuck
    assert health.judge().facts["lag_records"] == 10 + 300 - 99


@pytest.mark.parametrize("assigned", [lambda n: n % 25 and [UNREAD], lambda n: [Look(n // 25 % 2, 10, 10, 20)]])
def test_rebalances_are_no_progress(health: Health, clock: Clock, assigned: Any) -> None:
    """Every fifty seconds the partitions are gone for a look, or are others; nothing is ever stored."""
    for n in range(200):
        clock.now += 2
        health.looked(assigned(n) or [], joined=True, answered=True)
    assert health.judge().stuck


def test_who_is_set_back_gets_on(health: Health, clock: Clock) -> None:
    """The group's offsets were set to the start of the log: what is read again was stored before."""
    health.looked([Look(0, 900, 1000, 1000, oldest=1.0)], joined=True, answered=True)
    for offset in range(0, 800, 100):
        clock.now += STUCK
        health.looked([Look(0, offset, offset + 100, 1000, oldest=1.0)], joined=True, answered=True)
        assert not health.judge().stuck


def test_the_lag_of_what_is_in_hand_needs_no_end() -> None:
    assert Look(0, 10, 30, None, oldest=1.0).lag == 20
    assert Look(0, 10, None, None, oldest=1.0).lag == 0
    assert Look(0, None, 30, 40, oldest=1.0).lag == 0
