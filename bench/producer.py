"""The producer beside confluent-kafka: events acknowledged a second, one event a record and packed by 100."""

from __future__ import annotations

import time
import uuid
from statistics import median

from confluent_kafka import Producer

from bench.events import events
from bench.worker import MONTH
from infra.kafka.topics import ensure_topics
from producers.client import LoginProducer
from producers.packing import partition_of
from schemas.settings import Settings


def measure(stack: Settings, count: int, rounds: int) -> dict[str, float]:
    """Median events a second by contender; every figure is for events that Kafka acknowledged."""
    stream = list(events(count, 0.95, MONTH))
    settings = stack.model_copy(
        update={"kafka": stack.kafka.model_copy(update={"topic": f"bench-{uuid.uuid4().hex[:8]}"})}
    )
    ensure_topics(settings, lambda _: None)
    found: dict[str, list[float]] = {"confluent-kafka, one a record": [], "rollcall, one a record": [],
                                     "rollcall, packed by 100": []}  # fmt: skip
    for _ in range(rounds):
        found["confluent-kafka, one a record"].append(_confluent(settings, stream))
        found["rollcall, one a record"].append(_rollcall(settings, stream[: count // 5], 1))
        found["rollcall, packed by 100"].append(_rollcall(settings, stream, 100))
    return {name: median(rates) for name, rates in found.items()}


def _confluent(settings: Settings, stream: list[tuple[str, bytes]]) -> float:
    failed = 0

    def delivered(error: object, _: object) -> None:
        nonlocal failed
        failed += error is not None

    producer = Producer({
        "bootstrap.servers": settings.kafka.bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 20,
        "queue.buffering.max.messages": 2_000_000,
    })  # fmt: skip
    begun = time.perf_counter()
    for subject, event in stream:
        partition = partition_of(subject, settings.kafka.partitions)
        producer.produce(settings.kafka.topic, event, partition=partition, on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(120)
    if left or failed:
        raise SystemExit(f"confluent-kafka: {left} not written, {failed} failed")
    return len(stream) / (time.perf_counter() - begun)


def _rollcall(settings: Settings, stream: list[tuple[str, bytes]], pack: int) -> float:
    begun = time.perf_counter()
    with LoginProducer(settings.kafka, pack=pack) as producer:
        for subject, event in stream:
            producer.send_bytes(event, subject)
        producer.flush(120)
        if producer.deliveries().acknowledged != len(stream):
            raise SystemExit(f"rollcall: {producer.deliveries()}")
    return len(stream) / (time.perf_counter() - begun)
