"""The worker beside a hand-written loop and stock Faust, on the same topic in the same run.

Every contender reads the same records; its result is checked before its figure counts. Contenders do less than
Rollcall: they neither validate, resolve nor store. Rounds are shuffled and medians are shown, since machines are noisy;
the ratios are what counts.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import Producer

from bench.events import CATALOGUE, active_users, events
from infra.clickhouse.client import connect
from infra.local.stack import status
from infra.migrate import migrate
from producers.packing import partition_of
from schemas.event import BATCH
from schemas.settings import Settings

MONTH = date(2026, 10, 1)
FAUST_SHARE = 10
"""Stock Faust reads a topic of a tenth of the events: it would take minutes."""


@dataclass
class Figures:
    """One contender in one scenario, a value a round."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """CPU seconds per million events, of the contender's process."""
    server_cpu: list[float] = field(default_factory=list)
    """The same of the ClickHouse process meanwhile."""

    def add(self, result: dict[str, Any], server: float) -> None:
        self.rates.append(result["events"] / result["wall"])
        self.cpu.append(result["cpu"] / result["events"] * 1e6)
        self.server_cpu.append(server / result["events"] * 1e6)


@dataclass(frozen=True)
class Storage:
    """`active_users` after merges."""

    rows: int
    bytes_a_row: float
    """On disk, with the first event's id (a UUID), time and source."""


def measure(
    stack: Settings, count: int, rounds: int, counted: float, pack: int
) -> tuple[dict[str, Figures], Storage]:
    """Figures by contender for one scenario. Raises SystemExit when a contender counts wrongly."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    (stack.home / "catalogue.yaml").write_text(CATALOGUE)
    truth = active_users(count, counted)
    # A tenth of the topic for stock Faust, with its own truth.
    small, small_count = f"{name}-small", count // FAUST_SHARE
    for topic, number in ((name, count), (small, small_count)):
        migrate(_own(stack, topic))
        fill(stack.kafka.bootstrap, topic, events(number, counted, MONTH), pack, stack.kafka.partitions)
    settings = stack
    found = {"loop": Figures(), "rollcall": Figures(), "stock Faust": Figures()}
    for round_ in range(rounds + 1):  # the first warms the page cache up and is not counted
        order = list(found)
        random.shuffle(order)
        for contender in order:
            if contender == "rollcall":
                settings = _own(stack, name, f"{name}-{round_}-{uuid.uuid4().hex[:4]}")
                migrate(settings)
                result, expected = run("rollcall", settings), truth
            elif contender == "loop":
                result, expected = run("loop", stack, stack.kafka.bootstrap, name, str(count)), truth
            else:
                result = run("stock_faust", stack, stack.kafka.bootstrap, small, str(small_count))
                expected = active_users(small_count, counted)
            if result["users"] != expected:
                raise SystemExit(f"{contender} counted {result['users']} users, the truth is {expected}")
            if round_:
                found[contender].add(result, result["server"])
    return found, storage(settings)


def run(contender: str, settings: Settings, *arguments: str) -> dict[str, Any]:
    """One contender in a process of its own."""
    before = _server_cpu(settings)
    done = subprocess.run(
        [sys.executable, "-m", f"bench.contenders.{contender}", *arguments], env=_environment(settings),
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{contender} ended with {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["server"] = _server_cpu(settings) - before
    return result


def fill(bootstrap: str, topic: str, stream: Iterator[tuple[str, bytes]], pack: int, partitions: int) -> None:
    """Writes the events, one a record or packed, each into its subject's partition."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    waiting: list[list[bytes]] = [[] for _ in range(partitions)]

    def send(partition: int) -> None:
        batch, waiting[partition] = waiting[partition], []
        while True:
            try:
                if pack == 1:
                    producer.produce(topic, batch[0], partition=partition)
                else:
                    producer.produce(
                        topic, b"[" + b",".join(batch) + b"]", partition=partition, headers=[("content-type", BATCH)]
                    )
            except BufferError:
                producer.poll(0.5)
            else:
                return

    for subject, event in stream:
        partition = partition_of(subject, partitions)
        waiting[partition].append(event)
        if len(waiting[partition]) == pack:
            send(partition)
    for partition, batch in enumerate(waiting):
        if batch:
            send(partition)
    if left := producer.flush(120):
        raise SystemExit(f"{left} records were not written")


def storage(settings: Settings) -> Storage:
    """What the rows take after merges."""
    with connect(settings) as client:
        client.command("OPTIMIZE TABLE active_users FINAL")
        rows, size = client.query(
            "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts "
            "WHERE database = currentDatabase() AND table = 'active_users' AND active"
        ).result_rows[0]
    return Storage(rows, size / rows)


def _own(stack: Settings, topic: str, store: str | None = None) -> Settings:
    """The stack with a topic of this run; `store` names the database and the group, the topic if left out."""
    name = store or topic
    return stack.model_copy(update={
        "catalogue": stack.home / "catalogue.yaml",
        "kafka": stack.kafka.model_copy(update={"topic": topic, "group": name}),
        "clickhouse": stack.clickhouse.model_copy(update={"database": name.replace("-", "_")}),
    })  # fmt: skip


def _environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "ROLLCALL_HOME": str(settings.home),
        "ROLLCALL_CATALOGUE": str(settings.catalogue),
        "ROLLCALL_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
        "ROLLCALL_KAFKA_TOPIC": settings.kafka.topic,
        "ROLLCALL_KAFKA_GROUP": settings.kafka.group,
        "ROLLCALL_CLICKHOUSE_URL": str(settings.clickhouse.url),
        "ROLLCALL_CLICKHOUSE_DATABASE": settings.clickhouse.database,
    }


def _server_cpu(settings: Settings) -> float:
    """CPU seconds that the ClickHouse process has used so far."""
    pid = next(s.pid for s in status(settings) if s.name == "ClickHouse")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def medians(figures: Figures) -> tuple[float, float, float]:
    return median(figures.rates), median(figures.cpu), median(figures.server_cpu)
