"""The producer beside confluent-kafka: events acknowledged a second, one event a record and packed by 100."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Producer

from bench.budget import Budget
from bench.events import events
from bench.figures import Figures, Truth, spread
from bench.picture import Bar, Chart
from bench.report import Section
from bench.stack import fresh_name
from infra.errors import RollcallError
from infra.kafka.topics import ensure_topics
from producers.client import LoginProducer
from producers.packing import partition_of
from schemas.settings import Settings

PEER = "confluent-kafka, one event a record"
Send = Callable[[Settings, Sequence[tuple[str, bytes]]], int]


def producer(stack: Settings, count: int, rounds: int, budget: Budget, tell: Callable[[str], None]) -> Section:
    """Every figure is for events that Kafka acknowledged, to all in-sync replicas, idempotently."""
    settings = stack.model_copy(update={"kafka": stack.kafka.model_copy(update={"topic": fresh_name()})})
    ensure_topics(settings, lambda _: None)
    stream = tuple(events(count, 0.95))
    ways: dict[str, tuple[Send, Sequence[tuple[str, bytes]]]] = {
        PEER: (_confluent, stream),
        "Rollcall, one event a record": (lambda s, e: _rollcall(s, e, 1), stream[: count // 5]),
        "Rollcall, packed by 100": (lambda s, e: _rollcall(s, e, 100), stream),
    }
    found = {name: Figures() for name in ways}
    for round_ in range(rounds + 1):
        if round_ > 1 and not budget.left(0):
            break
        for name in random.sample(list(ways), len(ways)):
            send, part = ways[name]
            if not found[name].failed:
                _round(found[name], Truth(len(part), 0), lambda: send(settings, part), counts=round_ > 0)  # noqa: B023
        tell(f"producer: {'warm-up' if round_ == 0 else f'round {round_} of {rounds}'} done")
    columns = ("contender", "events/s", "spread", f"of {PEER}", "CPU s/million")
    section = Section("Producer: events acknowledged", columns)
    peer = found[PEER].rate if found[PEER].shown else None
    for name, figures in found.items():
        if figures.shown:
            section.rows.append([
                name, f"{figures.rate:,.0f}", f"{spread(figures.rates):.0%}",
                f"{figures.rate / peer:.2f}" if peer else "", f"{figures.cpu_median:.2f}",
            ])  # fmt: skip
        else:
            section.rows.append([name, f"failed: {figures.failed}", "", "", ""])
            section.failed = section.failed or name.startswith("Rollcall")
    section.figures = {name: {"rates": f.rates, "cpu": f.cpu, "failed": f.failed} for name, f in found.items()}
    section.charts = [Chart("Producing", [
        Bar(name.removesuffix(" a record"), f.rate, min(f.rates), max(f.rates), name.startswith("Rollcall"))
        for name, f in found.items() if f.shown
    ])]  # fmt: skip
    return section


def _round(figures: Figures, truth: Truth, send: Callable[[], int], *, counts: bool) -> None:
    begun, cpu = time.perf_counter(), time.process_time()
    try:
        acknowledged = send()
    except RollcallError as error:
        figures.failed = str(error)
        return
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    result = {"events": acknowledged, "users": 0, "wall": wall, "cpu": cpu, "server": 0.0}
    figures.add(result, truth, counts=counts)


def _confluent(settings: Settings, stream: Sequence[tuple[str, bytes]]) -> int:
    acknowledged = 0

    def delivered(error: object, _: object) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    client = Producer({
        "bootstrap.servers": settings.kafka.bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 20,
        "queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 2_000_000,
    })  # fmt: skip
    for subject, event in stream:
        partition = partition_of(subject, settings.kafka.partitions)
        client.produce(settings.kafka.topic, event, partition=partition, on_delivery=delivered)
        client.poll(0)
    client.flush(120)
    return acknowledged


def _rollcall(settings: Settings, stream: Sequence[tuple[str, bytes]], pack: int) -> int:
    with LoginProducer(settings.kafka, pack=pack) as client:
        for subject, event in stream:
            client.send_bytes(event, subject)
        client.flush(120)
        return client.deliveries().acknowledged
