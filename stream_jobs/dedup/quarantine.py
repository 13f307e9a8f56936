"""Sets events aside: their bytes as they came go to `logins.quarantine`, acknowledged before anything is committed.

The record's headers tell where the event first stood, why it is here, and what it had for headers itself. The topic
may hold an event twice (a batch that was read again); its identity is its origin, so the table does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiokafka
from aiokafka.errors import KafkaError

from infra.clickhouse.client import Retryable
from infra.kafka.connection import aiokafka_options
from schemas.event import BATCH, STRUCTURED
from schemas.settings import Settings
from stream_jobs.dedup.decode import content_type
from stream_jobs.dedup.fold import Refused
from stream_jobs.dedup.replay import APPENDED, DETAIL, ORIGIN, REASON, REPLAY, own_headers

MAX_BYTES = 1 << 30
"""The client's own limit. The topic's is on compressed bytes: what fitted into `logins` compressed fits here too."""


class Quarantine:
    """A producer of its own, started with the first event."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: aiokafka.AIOKafkaProducer | None = None

    async def set_aside(self, refused: Iterable[Refused]) -> None:
        """Returns when every event is acknowledged. Raises Retryable when Kafka does not take them."""
        topic = self._settings.kafka.quarantine_topic
        try:
            if self._producer is None:
                self._producer = aiokafka.AIOKafkaProducer(
                    **aiokafka_options(self._settings.kafka), acks="all", enable_idempotence=True,
                    compression_type="gzip", max_request_size=MAX_BYTES, linger_ms=5,
                )  # fmt: skip
                await self._producer.start()
            sent = [
                await self._producer.send(topic, each.raw, key=str(each.origin).encode(), headers=_headers(each))
                for each in refused
            ]
            await asyncio.gather(*sent)
        except KafkaError as error:
            raise Retryable(
                f"the topic {topic} does not take what must be set aside ({error!r}): nothing is lost, the batch is "
                f"read again; check the topic with `rollcall migrate`"
            ) from error

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()


def _headers(refused: Refused) -> list[tuple[str, bytes | None]]:
    kept = own_headers(refused.headers)
    if refused.origin.place >= 0 and content_type(refused.headers) in (None, BATCH):
        kept = [("content-type", STRUCTURED)]  # one element of an array is an event by itself
    return [
        *kept,
        (ORIGIN, str(refused.origin).encode()),
        (REPLAY, str(refused.replay).encode()),
        (REASON, refused.refusal.reason.encode()),
        (DETAIL, refused.refusal.detail.encode("utf-8", "backslashreplace")),
        (APPENDED, str(refused.append_ms).encode()),
    ]
