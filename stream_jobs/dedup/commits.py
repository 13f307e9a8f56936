"""What may be committed: the end of the finished head of each partition's batches, in offset order.

Faust's own acknowledgements are not used for it: they count an offset as done when its message was skipped, or when
the agent raised. Here a batch counts when its rows are stored, and a batch that does not begin where the last one
ended is not delivered but read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto

from stream_jobs.dedup.batch import Batch, Partition


class Entry(Enum):
    """What becomes of records that were fetched."""

    deliver = auto()
    read_again = auto()
    """A hole, seen for the first time: a fetch that straddled a rebalance, most likely."""
    deliver_after_hole = auto()
    """The same hole again: the offsets are not in the log (retention, transactions' own records)."""


class Ledger:
    """The batches under way, by partition. Knows nothing of Kafka; offsets come in, offsets go out."""

    def __init__(self) -> None:
        self._under_way: dict[Partition, deque[Batch]] = {}
        self._expected: dict[Partition, int] = {}
        self._committable: dict[Partition, int] = {}
        self._hole: dict[Partition, tuple[int, int]] = {}

    def expected(self, partition: Partition) -> int | None:
        """The offset that the next batch must begin at, where that is known."""
        return self._expected.get(partition)

    def partitions(self) -> list[Partition]:
        """Those that are assigned."""
        return list(self._expected)

    def judge(self, partition: Partition, first: int) -> Entry:
        """What to do with records that begin at `first`; they are not below the expected offset."""
        expected = self._expected.get(partition)
        if expected is None or first == expected:
            return Entry.deliver
        hole = (expected, first)
        if self._hole.get(partition) == hole:
            return Entry.deliver_after_hole
        self._hole[partition] = hole
        return Entry.read_again

    def enter(self, batch: Batch) -> None:
        """The batch is delivered; it ends the partition's line."""
        self._under_way.setdefault(batch.partition, deque()).append(batch)
        self._expected[batch.partition] = batch.last + 1
        self._hole.pop(batch.partition, None)

    def done(self, batch: Batch) -> None:
        """The batch's rows are durable. A batch from before a rebalance changes nothing."""
        line = self._under_way.get(batch.partition)
        if line is None or batch not in line:
            return
        batch.finished = True
        while line and line[0].finished:
            self._committable[batch.partition] = line.popleft().last + 1

    def committable(self) -> dict[Partition, int]:
        """The offset to commit, by partition: every record below it is stored."""
        return dict(self._committable)

    def begin(self, offsets: dict[Partition, int]) -> None:
        """After a rebalance: what is assigned now begins here, and everything unfinished is read again."""
        for each in (self._under_way, self._expected, self._committable, self._hole):
            each.clear()
        self._expected.update(offsets)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """The partitions are no longer ours."""
        for partition in partitions:
            for each in (self._under_way, self._expected, self._committable, self._hole):
                each.pop(partition, None)

    def oldest(self, partition: Partition) -> Batch | None:
        """The batch under way that comes first; None when nothing is."""
        line = self._under_way.get(partition)
        return line[0] if line else None

    def idle(self) -> bool:
        """Nothing is under way."""
        return not any(self._under_way.values())
