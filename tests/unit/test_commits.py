"""The ledger of commits, as a state machine: what it lets be committed is stored, whatever happens in between."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream_jobs.dedup.batch import Batch, Partition
from stream_jobs.dedup.commits import Entry, Ledger
from tests.unit.logins import Kept

A, B = Partition("logins", 0), Partition("logins", 1)


def batch(partition: Partition, first: int, last: int) -> Batch:
    return Batch(partition, [Kept(offset, b"") for offset in range(first, last + 1)])


def test_only_the_finished_head_may_be_committed() -> None:
    ledger = Ledger()
    one, two, three = batch(A, 0, 4), batch(A, 5, 5), batch(A, 6, 9)
    for each in (one, two, three):
        assert ledger.judge(A, each.first) is Entry.deliver
        ledger.enter(each)
    assert (ledger.committable(), ledger.expected(A), ledger.idle()) == ({}, 10, False)
    ledger.done(three)
    assert ledger.committable() == {}
    ledger.done(one)
    assert ledger.committable() == {A: 5}
    ledger.done(two)
    assert (ledger.committable(), ledger.idle()) == ({A: 10}, True)


def test_partitions_do_not_wait_for_each_other() -> None:
    ledger = Ledger()
    slow, quick = batch(A, 0, 4), batch(B, 7, 8)
    ledger.enter(slow)
    ledger.enter(quick)
    ledger.done(quick)
    assert ledger.committable() == {B: 9}


def test_a_hole_is_read_again_once_and_then_believed() -> None:
    ledger = Ledger()
    ledger.begin({A: 10})
    assert ledger.judge(A, 12) is Entry.read_again
    assert ledger.judge(A, 15) is Entry.read_again, "another hole"
    assert ledger.judge(A, 15) is Entry.deliver_after_hole
    ledger.enter(batch(A, 15, 15))
    assert ledger.expected(A) == 16
    assert ledger.judge(A, 20) is Entry.read_again, "an old hole says nothing of a new one"


def test_what_fills_the_hole_makes_it_forgotten() -> None:
    ledger = Ledger()
    ledger.begin({A: 10})
    assert ledger.judge(A, 12) is Entry.read_again
    ledger.enter(batch(A, 10, 11))
    assert ledger.judge(A, 12) is Entry.deliver


def test_after_a_rebalance_old_batches_change_nothing() -> None:
    ledger = Ledger()
    old = batch(A, 0, 9)
    ledger.enter(old)
    ledger.begin({A: 0})
    again = batch(A, 0, 9)
    ledger.enter(again)
    ledger.done(old)
    assert ledger.committable() == {}
    ledger.done(again)
    ledger.done(again)
    assert ledger.committable() == {A: 10}
    ledger.forget([A, B])
    assert (ledger.committable(), ledger.expected(A)) == ({}, None)


class Consumer(RuleBasedStateMachine):
    """Fetches, stores and loses partitions in any order; the model remembers which offsets are really stored."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.stored: dict[Partition, set[int]] = {A: set(), B: set()}
        self.begun = {A: 0, B: 0}
        self.waiting: list[Batch] = []
        self.stale: list[Batch] = []
        self.ledger.begin(self.begun)

    @rule(partition=st.sampled_from([A, B]), length=st.integers(1, 4), skip=st.sampled_from([0, 0, 0, 2]))
    def fetch(self, partition: Partition, length: int, skip: int) -> None:
        expected = self.ledger.expected(partition)
        assert expected is not None
        entry = self.ledger.judge(partition, expected + skip)
        assert (entry is Entry.deliver) == (skip == 0)
        if entry is Entry.deliver_after_hole:
            self.stored[partition] |= set(range(expected, expected + skip))  # is not in the log
        if entry is not Entry.read_again:
            fetched = batch(partition, expected + skip, expected + skip + length - 1)
            self.ledger.enter(fetched)
            self.waiting.append(fetched)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def store(self, data: st.DataObject) -> None:
        done = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.stored[done.partition] |= set(range(done.first, done.last + 1))
        self.ledger.done(done)
        self.stale.append(done)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def store_again_what_is_stale(self, data: st.DataObject) -> None:
        before = self.ledger.committable()
        self.ledger.done(data.draw(st.sampled_from(self.stale)))
        assert self.ledger.committable() == before

    @rule()
    def rebalance(self) -> None:
        """Everything that was not committed is read again from where the commits stand."""
        committed = {p: self.ledger.committable().get(p, self.begun[p]) for p in (A, B)}
        self.stale += self.waiting
        self.waiting, self.begun = [], committed
        self.ledger.begin(committed)

    @invariant()
    def every_record_below_a_commit_is_stored(self) -> None:
        for partition, offset in self.ledger.committable().items():
            assert offset > self.begun[partition]
            assert set(range(offset)) <= self.stored[partition]

    @invariant()
    def what_is_stored_without_a_gap_may_be_committed(self) -> None:
        under_way = {batch.partition for batch in self.waiting}
        assert self.ledger.idle() == (not under_way)
        for partition in {A, B} - under_way:
            assert self.ledger.committable().get(partition, self.begun[partition]) == self.ledger.expected(partition)


Consumer.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestConsumer = Consumer.TestCase
