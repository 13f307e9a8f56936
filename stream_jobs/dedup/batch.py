"""What one fetch returned for one partition: the unit that is read, stored and committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]
"""A record's headers, as they came; Kafka lets a name come twice, and without a value."""


class Partition(NamedTuple):
    """A topic's partition, as Faust and aiokafka name it."""

    topic: str
    partition: int


class Record(Protocol):
    """What the job reads of a Kafka record; aiokafka's own (compiled) record has it."""

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int:
        """Append time in epoch milliseconds (the topic has LogAppendTime)."""

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers: ...


class Batch:
    """Consecutive records of one partition: offsets `first` to `last`, both included."""

    __slots__ = ("end_offset", "finished", "first", "last", "partition", "records")

    def __init__(self, partition: Partition, records: Sequence[Record], end_offset: int = 0) -> None:
        self.partition, self.records = partition, records
        self.first, self.last = records[0].offset, records[-1].offset
        self.end_offset = end_offset
        """The end of the log as the broker told it with the fetch."""
        self.finished = False
