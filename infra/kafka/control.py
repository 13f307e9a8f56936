"""Writing a control record: one in every partition of `logins`, acknowledged before anything builds on it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from infra.errors import OutOfReach
from infra.kafka.connection import addresses, kafka_python_options
from infra.kafka.topics import describe
from schemas.control import CONTROL_TYPE, ControlRecord
from schemas.settings import Settings

ACKNOWLEDGED_SECONDS: Final = 30.0

Written = dict[int, tuple[int, int]]
"""By partition: the record's offset, and the epoch milliseconds at which the broker appended it."""


def write_control(settings: Settings, record: ControlRecord, partitions: Iterable[int] | None = None) -> Written:
    """Writes `record` into every partition (or those named); returns when all in-sync replicas have every one.

    Idempotent per call: the producer's own retries add nothing twice. A call that fails may have written some of
    them, and a repeat writes those again: of two records with the same number the first one counts. Raises
    OutOfReach when not all are acknowledged within ACKNOWLEDGED_SECONDS, CheckFailed when there is no such topic.
    """
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    wanted = sorted(range(describe(settings).partitions) if partitions is None else partitions)
    written: Written = {}
    deadline = time.monotonic() + ACKNOWLEDGED_SECONDS
    try:
        producer = KafkaProducer(
            **kafka_python_options(settings.kafka), client_id="rollcall-control", acks="all",
            enable_idempotence=True, allow_auto_create_topics=False, max_block_ms=10_000,
            request_timeout_ms=10_000, delivery_timeout_ms=int(ACKNOWLEDGED_SECONDS * 1000),
        )  # fmt: skip
        try:
            # The first partition before the others: a source's report stands there, and what it says is in Kafka is
            # before the record in every other partition too, if the report is before it in this one.
            for together in (wanted[:1], wanted[1:]):
                sent = {p: _send(producer, settings.kafka.topic, p, record) for p in together}
                producer.flush(timeout=max(0.0, deadline - time.monotonic()))
                for partition, future in sent.items():
                    metadata = future.get(timeout=max(0.0, deadline - time.monotonic()))
                    written[partition] = (metadata.offset, metadata.timestamp)
        finally:
            producer.close(timeout=5)
    except (KafkaError, OSError) as error:
        missing = ", ".join(str(p) for p in wanted if p not in written)
        raise OutOfReach(
            f"Kafka at {','.join(addresses(settings.kafka))} did not acknowledge the control record "
            f"{record.kind} {record.number} in partitions {missing} of {settings.kafka.topic} "
            f"({type(error).__name__}): run the command again when the brokers answer; a repeat does no harm"
        ) from None
    return written


def _send(producer: Any, topic: str, partition: int, record: ControlRecord) -> Any:
    headers = [("content-type", CONTROL_TYPE)]
    return producer.send(topic, value=record.to_json(), partition=partition, headers=headers)
