"""The bytes of quarantined events, as they came: read from `logins.quarantine`. Clear names are in there."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from infra.errors import OutOfReach
from infra.kafka.connection import addresses, kafka_python_options
from infra.kafka.topics import describe
from schemas.calendar import moment_of
from schemas.quarantine import Origin
from schemas.settings import Settings
from stream_jobs.dedup.batch import Headers
from stream_jobs.dedup.replay import APPENDED, DETAIL, ORIGIN, REASON, REPLAY, own_headers

SILENCE_SECONDS: Final = 30.0
# A record is set aside after it was appended, but the two append times are of two brokers' clocks.
SKEW: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Kept:
    """A record of the topic: an event that was set aside when it had gone round `number` times."""

    origin: Origin
    number: int
    reason: str
    detail: str
    append_time: datetime
    """When the record in `logins` was appended that it stood in then; UTC."""
    value: bytes
    headers: Headers
    """As the event had them, without Rollcall's."""


def kept_of(value: bytes | None, headers: Headers) -> Kept | None:
    """What a record of the topic holds; None for one that no worker wrote."""
    found = {name: held for name, held in headers if held is not None}
    try:
        return Kept(
            Origin.parse(found[ORIGIN].decode()), int(found[REPLAY]), found[REASON].decode(), found[DETAIL].decode(),
            moment_of(int(found[APPENDED]) * 1000), value or b"", own_headers(headers),
        )  # fmt: skip
    except (KeyError, ValueError, OverflowError):
        return None


def scan(settings: Settings, since: datetime) -> Generator[Kept, None, None]:
    """The events set aside since the records they stood in were appended, up to the topic's end as it is now.

    In the order of each partition; one may come twice. Belongs to no consumer group. Raises CheckFailed when there
    is no such topic, OutOfReach when Kafka does not answer, or not for SILENCE_SECONDS in the middle.
    """
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    topic = settings.kafka.quarantine_topic
    partitions = [TopicPartition(topic, p) for p in range(describe(settings, topic).partitions)]
    try:
        consumer = KafkaConsumer(
            **kafka_python_options(settings.kafka), client_id="rollcall-quarantine", group_id=None,
            enable_auto_commit=False, auto_offset_reset="earliest", allow_auto_create_topics=False,
        )  # fmt: skip
        try:
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            first = max(0, int((since - SKEW).timestamp() * 1000))
            starts = consumer.offsets_for_times(dict.fromkeys(partitions, first))
            for each in partitions:
                consumer.seek(each, starts[each].offset if starts.get(each) else ends[each])
            yield from _read(consumer, ends)
        finally:
            consumer.close()
    except (KafkaError, OSError) as error:
        raise OutOfReach(
            f"Kafka at {','.join(addresses(settings.kafka))} does not give out {topic} "
            f"({type(error).__name__}: {str(error)[:200]}): see `rollcall status`, then run the command again"
        ) from None


def _read(consumer: Any, ends: dict[Any, int]) -> Iterator[Kept]:
    heard = time.monotonic()
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        fetched = consumer.poll(timeout_ms=500)
        for records in fetched.values():
            for record in records:
                if (kept := kept_of(record.value, record.headers)) is not None:
                    yield kept
        if fetched:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_SECONDS:
            raise TimeoutError(f"nothing came for {SILENCE_SECONDS:.0f} s")
