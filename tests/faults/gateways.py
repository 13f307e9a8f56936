"""kill -9 of the gateway under load, as often as asked, while Kafka is there, away, or frozen; then the log is read.

    python -m tests.faults --gateway 20

The oracle is what the senders were told: what was answered with 202 must be in the log, and nothing that nobody sent.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from infra.kafka.topics import ensure_topics
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import status
from infra.waiting import wait_until
from tests.faults.stack import own_stack
from tests.integration.gateway import Gateway, Said, event, running, settings_of
from tests.integration.test_producer import events_of, records

SENDERS, BATCH = 4, 20
ENOUGH = 200
"""Promises in a round before the kill may come."""
Kafka = Literal["there", "away", "frozen"]


@dataclass
class Outcome:
    kills: int = 0
    asked: set[str] = field(default_factory=set)
    """Ids of events that were sent, answered or not."""
    promised: dict[str, str] = field(default_factory=dict)
    """Where a 202 said that they are."""
    missing: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)
    repeated: int = 0
    odd: list[Said] = field(default_factory=list)
    """Answers that nobody should get."""

    def has(self, promises: int) -> bool:
        return len(self.promised) >= promises


def killed(
    home: Path, bootstrap: str, topic: str, ways: Iterable[Kafka], rng: random.Random,
    freeze: Callable[[int], None] = lambda _: None,
) -> Outcome:  # fmt: skip
    """A round for each of `ways`, on the spool that the round before left; `freeze` sends a signal to Kafka."""
    found = Outcome()
    there = settings_of(home, bootstrap, topic, kafka_seconds=1)
    away = settings_of(home, f"{LOOPBACK}:{free_port()}", topic, kafka_seconds=1)
    for number, kafka in enumerate(ways):
        with running(away if kafka == "away" else there) as gateway:
            senders = [threading.Thread(target=_send, args=(gateway, f"{number}-{n}", found)) for n in range(SENDERS)]
            for sender in senders:
                sender.start()
            with ExitStack() as thawed:
                if kafka == "frozen":
                    thawed.enter_context(_frozen(freeze))
                enough = len(found.promised) + ENOUGH
                assert wait_until(partial(found.has, enough), 30.0), gateway.facts()
                time.sleep(rng.uniform(0, 0.3))  # the kill falls anywhere
                gateway.kill()
            found.kills += 1
            for sender in senders:
                sender.join(40)
    with running(there) as gateway:
        assert wait_until(lambda: gateway.facts()["spool_bytes"] == 0, 60.0), gateway.facts()
    logged = Counter(str(each["id"]) for record in records(there.kafka) for each in events_of(record))
    found.missing, found.extra = set(found.promised) - set(logged), set(logged) - found.asked
    found.repeated = logged.total() - len(logged)
    return found


def _send(gateway: Gateway, name: str, found: Outcome) -> None:
    """Batches, one after the other, until the gateway is gone. A 503 promises nothing."""
    for number in range(10_000):
        ids = [f"{name}-{number}-{n}" for n in range(BATCH)]
        found.asked.update(ids)
        try:
            said = gateway.post([event(id) for id in ids])
        except OSError:
            return
        if said.status not in (202, 503):
            found.odd.append(said)
        if said.status == 202:
            found.promised.update(dict.fromkeys(ids, str(said.body["stored"])))


@contextmanager
def _frozen(freeze: Callable[[int], None]) -> Iterator[None]:
    freeze(signal.SIGSTOP)
    try:
        yield
    finally:
        freeze(signal.SIGCONT)


def report(rounds: int, seed: int) -> int:
    """One line. Returns the exit code."""
    ways: list[Kafka] = ["there", "away", "frozen"]
    with tempfile.TemporaryDirectory(prefix="rollcall-faults-") as name, own_stack(Path(name)) as stack:

        def freeze(number: int) -> None:
            [pid] = [each.pid for each in status(stack) if each.name == "Kafka"]
            os.kill(pid or 0, number)

        ensure_topics(stack, lambda _: None)
        rng = random.Random(seed)
        home = Path(name) / "gateway"
        outcome = killed(
            home, stack.kafka.bootstrap, stack.kafka.topic, [ways[n % 3] for n in range(rounds)], rng, freeze
        )
    stored = Counter(outcome.promised.values())
    print(
        f"gateway, seed {seed}: {outcome.kills} × kill -9; {len(outcome.asked):,} events sent, of which Kafka had "
        f"{stored['kafka']:,} and the spool {stored['spool']:,} by a 202; missing {len(outcome.missing)}, extra "
        f"{len(outcome.extra)}, in the log more than once {outcome.repeated:,}"
    )
    for said in outcome.odd:
        print(f"unexpected: {said}")
    return 1 if outcome.missing or outcome.extra or outcome.odd else 0
