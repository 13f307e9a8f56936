"""The log and its readers, as Kafka tells it: how far the group is behind, also when no worker runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.kafka.connection import admin_client, kafka_python_options
from infra.kafka.topics import describe
from schemas.settings import Settings
from stream_jobs.dedup.rebuild_log import committed_offsets


@dataclass(frozen=True)
class LogState:
    """Offsets by partition, and how many workers the group has; `at` in monotonic seconds."""

    at: float
    ends: Mapping[int, int]
    starts: Mapping[int, int]
    committed: Mapping[int, int]
    """What is missing has nothing committed."""
    members: int

    @property
    def lag(self) -> dict[int, int]:
        """Records of each partition that are not committed."""
        done = {p: max(self.committed.get(p, 0), self.starts.get(p, 0)) for p in self.ends}
        return {p: max(0, end - done[p]) for p, end in self.ends.items()}

    def rates(self, before: LogState) -> tuple[float, float]:
        """Records a second since then: that came in, and that were committed."""
        seconds = max(self.at - before.at, 1e-9)
        came = sum(end - before.ends.get(p, end) for p, end in self.ends.items())
        done = sum(at - before.committed.get(p, at) for p, at in self.committed.items())
        return max(0, came) / seconds, max(0, done) / seconds


def read_log(settings: Settings, group: str) -> LogState:
    """Raises CheckFailed when there is no such topic, OutOfReach without a broker."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec
    from kafka.errors import GroupIdNotFoundError

    topic = settings.kafka.topic
    with admin_client(kafka_python_options(settings.kafka)) as client:
        [found] = client.describe_topics([topic])
        if found["error_code"]:
            describe(settings)  # which says what is wrong
        partitions = [TopicPartition(topic, p) for p in range(len(found["partitions"]))]

        def offsets(spec: Any) -> dict[int, int]:
            found = client.list_partition_offsets(dict.fromkeys(partitions, spec))
            return {place.partition: at.offset for place, at in found.items()}

        starts = offsets(OffsetSpec.EARLIEST)
        committed = committed_offsets(client, group, topic)
        try:
            members = len(client.describe_groups([group])[group]["members"])
        except GroupIdNotFoundError:
            members = 0
        ends, at = offsets(OffsetSpec.LATEST), time.monotonic()  # last: what is committed lies below
    return LogState(at, ends, starts, committed, members)
