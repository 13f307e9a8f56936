"""A local stack for one run of the bench, and in it a topic, a database and a consumer group for each measurement."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench.events import CATALOGUE
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import down, status, up
from infra.migrate import migrate
from producers.packing import partition_of
from schemas.event import BATCH
from schemas.settings import Settings

ROOT = Path(__file__).parents[1]


@contextmanager
def running_stack() -> Iterator[Settings]:
    """Real Kafka and the real ClickHouse engine on free ports, in a folder that goes with them."""
    with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
        kafka, clickhouse = free_port(), free_port()
        settings = Settings(
            home=Path(folder) / "home",
            catalogue=Path(folder) / "catalogue.yaml",
            kafka={"bootstrap": f"{LOOPBACK}:{kafka}"},
            clickhouse={"url": f"http://{LOOPBACK}:{clickhouse}"},
            local={"kafka_port": kafka, "clickhouse_port": clickhouse},
            metrics={"port": 0},
        )
        settings.catalogue.write_text(CATALOGUE)
        try:
            up(settings, lambda _: None)
            yield settings
        finally:
            down(settings, lambda _: None)


def fresh_name() -> str:
    return f"bench-{uuid.uuid4().hex[:12]}"


def own(stack: Settings, topic: str, store: str | None = None, partitions: int = 4, **worker: Any) -> Settings:
    """The stack with a topic of `partitions`, migrated.

    `store` names the database and the group, the topic if left out; `worker` are settings of the worker.
    """
    name = store or topic
    kafka = stack.kafka.model_copy(update={"topic": topic, "group": name, "partitions": partitions})
    clickhouse = stack.clickhouse.model_copy(update={"database": name.replace("-", "_")})
    settings = stack.model_copy(
        update={"kafka": kafka, "clickhouse": clickhouse, "worker": stack.worker.model_copy(update=worker)}
    )
    migrate(settings)
    return settings


def environment(settings: Settings) -> dict[str, str]:
    """The variables with which another process reads the same settings."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")},
        "ROLLCALL_HOME": str(settings.home),
        "ROLLCALL_CATALOGUE": str(settings.catalogue),
        "ROLLCALL_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
        "ROLLCALL_KAFKA_TOPIC": settings.kafka.topic,
        "ROLLCALL_KAFKA_GROUP": settings.kafka.group,
        "ROLLCALL_KAFKA_PARTITIONS": str(settings.kafka.partitions),
        "ROLLCALL_CLICKHOUSE_URL": str(settings.clickhouse.url),
        "ROLLCALL_CLICKHOUSE_DATABASE": settings.clickhouse.database,
        "ROLLCALL_METRICS_PORT": str(settings.metrics.port),
        "ROLLCALL_WORKER_CACHE_ENTRIES": str(settings.worker.cache_entries),
        "ROLLCALL_WORKER_MAX_POLL_RECORDS": str(settings.worker.max_poll_records),
    }


def fill(settings: Settings, stream: Iterable[tuple[str, bytes]], pack: int) -> None:
    """Writes the events, one a record or packed, each into its subject's partition. All are acknowledged."""
    topic, partitions = settings.kafka.topic, settings.kafka.partitions
    failed = 0

    def delivered(error: object, _: object) -> None:
        nonlocal failed
        failed += error is not None

    producer = Producer({
        "bootstrap.servers": settings.kafka.bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000,
        "acks": "all", "enable.idempotence": True, "log_level": 3,
    })  # fmt: skip
    waiting: list[list[bytes]] = [[] for _ in range(partitions)]

    def send(partition: int) -> None:
        batch, waiting[partition] = waiting[partition], []
        value = batch[0] if pack == 1 else b"[" + b",".join(batch) + b"]"
        headers: list[tuple[str, str | bytes | None]] = [] if pack == 1 else [("content-type", BATCH)]
        while True:
            try:
                producer.produce(topic, value, partition=partition, headers=headers, on_delivery=delivered)
            except BufferError:
                producer.poll(0.5)
            else:
                producer.poll(0)
                return

    for subject, event in stream:
        partition = partition_of(subject, partitions)
        waiting[partition].append(event)
        if len(waiting[partition]) == pack:
            send(partition)
    for partition, batch in enumerate(waiting):
        if batch:
            send(partition)
    if (left := producer.flush(120)) or failed:
        raise RuntimeError(f"{left + failed} records were not written")


def server_cpu(settings: Settings) -> float:
    """CPU seconds that the ClickHouse process has used so far."""
    pid = next(s.pid for s in status(settings) if s.name == "ClickHouse")
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
