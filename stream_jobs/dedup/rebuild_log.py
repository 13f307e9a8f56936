"""The part of the log that a rebuild reads: from its start up to what the dedup job has committed (decision 12)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained, utc
from infra.errors import CheckFailed, OutOfReach, RollcallError
from infra.generation import Generation
from infra.kafka.connection import admin_client, aiokafka_options, kafka_python_options
from infra.kafka.topics import describe
from infra.waiting import wait_until
from schemas.calendar import epoch_us, moment_of, month_interval, month_name, zone_named
from schemas.settings import Settings
from stream_jobs.dedup.batch import Batch, Partition

COORDINATOR_SECONDS = 20.0
FETCH_BYTES, PARTITION_BYTES = 16 << 20, 8 << 20


@dataclass(frozen=True)
class Extent:
    """What is read of each partition: the offsets from `starts` to `ends`, the latter excluded."""

    topic_id: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]
    """What the group in force has committed: all before is stored, and the new group begins there."""
    behind: int
    """Records that the dedup job had not read then."""


def extent(settings: Settings, generation: Generation) -> Extent:
    """The log as the generation's group has read it. Raises CheckFailed when it has not read a partition at all."""
    facts, topic, group = describe(settings), settings.kafka.topic, generation.group(settings.kafka)
    floor = generation.floor(facts.topic_id)
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        starts, lasts = (_offsets(admin, topic, facts.partitions, spec) for spec in (-2, -1))
        committed = committed_offsets(admin, group, topic)
    ends = {}
    for p in range(facts.partitions):
        at = max(committed.get(p, 0), floor.get(p, 0))
        if at == 0 and lasts[p] > starts[p]:
            raise CheckFailed(
                f"group {group} has committed nothing in partition {p} of {topic}, so nobody knows how far "
                f"{generation.table} reaches: run `rollcall worker --drain`, then rebuild again"
            )
        ends[p] = max(at, starts[p])
    return Extent(facts.topic_id, starts, ends, sum(max(0, lasts[p] - ends[p]) for p in ends))


def committed_offsets(admin: Any, group: str, topic: str) -> dict[int, int]:
    """By partition, where something is committed. Empty for a group that there is not."""
    from kafka.errors import (
        CoordinatorLoadInProgressError,
        CoordinatorNotAvailableError,
        GroupIdNotFoundError,
        NotCoordinatorError,
    )

    deadline = time.monotonic() + COORDINATOR_SECONDS
    while True:
        try:
            found = admin.list_group_offsets(group)[group]
        except GroupIdNotFoundError:
            return {}
        except (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
            continue
        return {at.partition: o.offset for at, o in found.items() if at.topic == topic and o.offset >= 0}


def refuse_short(settings: Settings, client: Client, month: date, extent: Extent) -> None:
    """Raises CheckFailed when a login of the month may have left the log, naming partition and times.

    A login is appended when it happens or later, but for the tolerance of clocks. So the log must reach back before
    the month's start in every partition, or to the partition's own start.
    """
    start_ms = _start_ms(client, month) - int(settings.worker.future_tolerance_seconds * 1000)
    topic, name = settings.kafka.topic, month_name(month)
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        since = _found(admin, topic, len(extent.starts), max(0, start_ms))
        lasts = _offsets(admin, topic, len(extent.starts), -1)
    for p, start in sorted(extent.starts.items()):
        offset, append_ms = since[p]
        older = start < offset or (offset < 0 and start < lasts[p])  # the log has records of before the month
        if start > 0 and not older:
            first = f"first record was appended {_said(append_ms)}" if offset >= 0 else "log is empty"
            raise CheckFailed(
                f"{name} cannot be rebuilt: partition {p} of {topic} begins at offset {start} and its {first}, while "
                f"the month began {_said(start_ms)} (with the tolerance of clocks), so logins of it may have left the "
                f"log. ROLLCALL_KAFKA_RETENTION_DAYS says how far a rebuild reaches"
            )
    with explained(settings.clickhouse):
        others = client.query(
            "SELECT topic_id, max(append_time) FROM ("
            "SELECT topic_id, append_time FROM ingest_progress"
            " UNION ALL SELECT topic_id, append_time FROM control_places) WHERE topic_id != %(t)s GROUP BY topic_id",
            parameters={"t": extent.topic_id},
        ).result_rows
    for other, last in others:
        if epoch_us(utc(last)) // 1000 >= start_ms:
            raise CheckFailed(
                f"{name} cannot be rebuilt: the topic {topic} was made anew (its id is {extent.topic_id}, it was "
                f"{other}), and the old one, which nobody can read any more, had records up to "
                f"{_said(epoch_us(utc(last)) // 1000)}, after the month began ({_said(start_ms)})"
            )


async def batches(settings: Settings, extent: Extent) -> AsyncGenerator[Batch, None]:
    """The extent's records, each partition in order, as the job's own batches. Records that are gone are left out.

    Raises CheckFailed when retention takes records while it reads; OutOfReach when Kafka stops answering.
    """
    topic = settings.kafka.topic
    wanted = {aiokafka.TopicPartition(topic, p): end for p, end in extent.ends.items() if extent.starts[p] < end}
    if not wanted:
        return
    consumer = aiokafka.AIOKafkaConsumer(
        **aiokafka_options(settings.kafka), group_id=None, enable_auto_commit=False, auto_offset_reset="none",
        fetch_max_bytes=FETCH_BYTES, max_partition_fetch_bytes=PARTITION_BYTES,
    )  # fmt: skip
    moved = time.monotonic()
    try:
        await consumer.start()
        consumer.assign(list(wanted))
        for tp in wanted:
            consumer.seek(tp, extent.starts[tp.partition])
        while wanted:
            fetched = await consumer.getmany(
                *wanted, timeout_ms=500, max_records=settings.worker.max_poll_records
            )
            for tp, records in fetched.items():
                moved = time.monotonic()
                if records := [record for record in records if record.offset < wanted[tp]]:
                    yield Batch(Partition(tp.topic, tp.partition), records, wanted[tp])
            for tp in [tp for tp, end in wanted.items() if await consumer.position(tp) >= end]:
                consumer.pause(tp)
                del wanted[tp]
            if time.monotonic() - moved > settings.worker.stall_seconds:
                raise OutOfReach(
                    f"Kafka has sent nothing of {topic} for {settings.worker.stall_seconds:.0f} s: look at the "
                    f"brokers, then rebuild again"
                )
    except OffsetOutOfRangeError as error:
        raise CheckFailed(f"retention took records of {topic} while they were read ({error}): rebuild again") from None
    except UnicodeDecodeError:
        raise CheckFailed(
            f"a record of {topic} has a header whose name is not UTF-8, which no Kafka client in Python can read: no "
            f"month can be rebuilt while it is in the log"
        ) from None
    except (KafkaError, OSError) as error:
        raise OutOfReach(f"Kafka does not answer while {topic} is read ({error!r}): rebuild again") from None
    finally:
        await asyncio.shield(consumer.stop())


def offsets_since(settings: Settings, partitions: int, append_ms: int) -> dict[int, int]:
    """By partition, the first offset that was appended at this time or later; the log's end where there is none."""
    topic = settings.kafka.topic
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        since, ends = _found(admin, topic, partitions, append_ms), _offsets(admin, topic, partitions, -1)
    return {p: offset if offset >= 0 else ends[p] for p, (offset, _) in since.items()}


def commit_offsets(settings: Settings, group: str, offsets: Mapping[int, int]) -> None:
    """Makes these the committed offsets of a group, which no worker may be in. Raises RollcallError when one is."""
    from kafka import OffsetAndMetadata, TopicPartition
    from kafka.errors import NoError

    places = {TopicPartition(settings.kafka.topic, p): OffsetAndMetadata(at, "", -1) for p, at in offsets.items()}
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        refused: set[str] = set()

        def committed() -> bool:
            refused.clear()
            refused.update(e.__name__ for e in admin.alter_group_offsets(group, places).values() if e is not NoError)
            return not refused

        if not wait_until(committed, COORDINATOR_SECONDS, 0.2):
            raise RollcallError(
                f"Kafka does not take the offsets of group {group} ({', '.join(sorted(refused))}): is a worker in it? "
                f"Stop it, then rebuild again"
            )


def _start_ms(client: Client, month: date) -> int:
    """The month's start in the zone where it begins first, of all that any catalogue version counts by."""
    zones = [z for (z,) in client.query("SELECT DISTINCT time_zone FROM catalogue_skus").result_rows] or ["UTC"]
    return min(month_interval(month, zone_named(zone))[0] for zone in zones) // 1000


def _offsets(admin: Any, topic: str, partitions: int, spec: int) -> dict[int, int]:
    """By partition, the log's start (spec −2) or end (−1)."""
    return {p: offset for p, (offset, _) in _found(admin, topic, partitions, spec).items()}


def _found(admin: Any, topic: str, partitions: int, spec: int) -> dict[int, tuple[int, int]]:
    """By partition, offset and append time of the first record that is not older than `spec`; −1 where none is."""
    from kafka import TopicPartition

    found = admin.list_partition_offsets({TopicPartition(topic, p): spec for p in range(partitions)})
    return {tp.partition: (at.offset, at.timestamp) for tp, at in found.items()}


def _said(ms: int) -> str:
    return f"{moment_of(ms * 1000):%Y-%m-%d %H:%M:%S}Z"
