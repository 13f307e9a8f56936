"""A producer in a process of its own, killed in the middle of a flush."""

from __future__ import annotations

import os
import signal
import time
from random import Random

from producers.client import Delivery, LoginProducer
from schemas.settings import KafkaSettings
from tests.faults.arena import Arena
from tests.faults.launch import CONTEXT
from tests.faults.logins import Event

EVENTS = 1_500


def send(kafka: KafkaSettings, events: list[Event], acknowledged: str) -> None:
    """In the child: sends, and notes in the file `acknowledged` how many events of each record Kafka has taken."""
    note = os.open(acknowledged, os.O_WRONLY | os.O_APPEND)

    def told(delivery: Delivery) -> None:
        if delivery.error is None:
            os.write(note, delivery.events.to_bytes(4, "big"))

    with LoginProducer(kafka, pack=2, linger=0.01, on_delivery=told) as producer:
        for event in events:
            (producer.send_raw if event.whole else producer.send_bytes)(event.raw, event.subject)
        producer.flush(60)


def killed_mid_flush(arena: Arena, rng: Random) -> str:
    """It dies after some acknowledgements; its supervisor sends everything again. Nobody may be missing or extra."""
    events, come = arena.logins.next(EVENTS), arena.folder / f"acknowledged-{rng.random()}"
    arena.look()
    before = arena.log.events
    come.touch()
    process = CONTEXT.Process(target=send, args=(arena.settings.kafka, events, str(come)))
    process.start()
    wanted, deadline = rng.randrange(1, EVENTS // 2), time.monotonic() + 30
    while come.stat().st_size // 4 < wanted // 4 and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.pid is not None
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert process.exitcode == -signal.SIGKILL, f"it ended with {process.exitcode} before it could be killed"
    arena.look()
    logged, sure = arena.log.events - before, _sum(come.read_bytes())
    assert logged >= sure, f"Kafka acknowledged {sure} events, and only {logged} are in its log"
    arena.deliver(events)
    return f"{sure} of {len(events)} events acknowledged at its death, {logged} in the log"


def _sum(numbers: bytes) -> int:
    return sum(int.from_bytes(numbers[at : at + 4], "big") for at in range(0, len(numbers) - 3, 4))
