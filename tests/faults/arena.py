"""One Rollcall that is hurt: its logins, its log, its crew, its watcher, and what is found after each round."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kafka.errors import KafkaError

from infra.clickhouse.client import connect
from infra.errors import RollcallError
from infra.kafka.connection import admin_client, kafka_python_options
from infra.keyring import FIRST
from infra.local.ports import LOOPBACK
from infra.local.stack import status, up
from infra.migrate import migrate
from infra.secrets import pseudonym_keys
from infra.waiting import wait_until
from producers.client import LoginProducer
from schemas.settings import Settings
from tests.faults.crew import Crew
from tests.faults.logins import CATALOGUE, REMEMBERED, Event, Logins
from tests.faults.proxy import Proxy
from tests.faults.truth import Difference, Log, State, compare, kept_aside, stored
from tests.faults.watcher import AWAY, Watcher

SETTLE_SECONDS = 120.0
PORTION = 150
WORKER = {
    "ROLLCALL_WORKER_MAX_POLL_RECORDS": "6",  # many batches, so that every place is reached
    "ROLLCALL_WORKER_SESSION_SECONDS": "10",
    "ROLLCALL_WORKER_STALL_SECONDS": "40",
    "ROLLCALL_WORKER_CACHE_ENTRIES": "1000",  # it forgets while it works
    "ROLLCALL_WORKER_QUARANTINE_RATIO": "1",  # unreadable events are all of source "unknown": the cap would trip
    "ROLLCALL_METRICS_PORT": "0",
    "ROLLCALL_LOG_LEVEL": "info",
}

LARGE = {"ROLLCALL_WORKER_MAX_POLL_RECORDS": "2000"}
"""Batches that keep up with what arrives, where a pause is measured or a close waits."""


@dataclass
class Round:
    """What one round did and what was found after it."""

    fault: str
    seed: int
    kills: int = 0
    restarts: int = 0
    events: int = 0
    repeated: int = 0
    """Records that were stored again, of `records`."""
    records: int = 0
    ahead: int = 0
    """Commits that had passed an event not yet stored."""
    pause: float = 0.0
    seconds: float = 0.0
    found: Difference = field(default_factory=Difference)
    note: str = ""

    @property
    def holds(self) -> bool:
        return not self.found and not self.ahead


class Arena:
    """A Rollcall of its own on a stack. Use as a context; one round at a time."""

    def __init__(self, stack: Settings, folder: Path, seed: int, *, users: int = 20_000, watch: float = 0.4) -> None:
        """`watch` is the seconds between two looks at the commits."""
        name = f"f{uuid.uuid4().hex[:10]}"
        folder = folder / name
        folder.mkdir(parents=True)
        (folder / "catalogue.yaml").write_text(CATALOGUE, "utf-8")
        self.seed, self.folder, self.stack = seed, folder, stack
        self.settings = Settings(
            home=stack.home, catalogue=folder / "catalogue.yaml", local=stack.local.model_dump(),
            kafka={"bootstrap": stack.kafka.bootstrap, "topic": name, "group": name, "partitions": 4},
            clickhouse={"url": str(stack.clickhouse.url), "database": name},
        )  # fmt: skip
        migrate(self.settings)
        self.proxy = Proxy(stack.local.clickhouse_port)
        self.proxied = {"ROLLCALL_CLICKHOUSE_URL": f"http://{LOOPBACK}:{self.proxy.port}"}
        self.crew = Crew(self.settings, folder, WORKER | self.proxied)
        self.logins = Logins(seed, users)
        self.log = Log(self.settings, self.logins, pseudonym_keys(self.settings).by_month[FIRST])
        self.watcher = Watcher(self.settings, self.log, watch)
        self.acknowledged = State()
        """The fold of every login that Kafka has acknowledged; close numbers left out."""
        self.sent: list[Event] = []

    def __enter__(self) -> Arena:
        self.proxy.__enter__()
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.crew.kill_all()
        self.watcher.stop()
        self.proxy.__exit__()
        with suppress(*AWAY):
            with connect(self.settings, database="default") as client:
                client.command(f"DROP DATABASE IF EXISTS `{self.settings.clickhouse.database}` SYNC")
            with admin_client(kafka_python_options(self.settings.kafka)) as admin:
                admin.delete_topics([self.settings.kafka.topic, self.settings.kafka.quarantine_topic])

    # Events

    def produce(self, logins: int = PORTION) -> None:
        """So many logins and their repeats; returns when Kafka has acknowledged them all."""
        self.deliver(self.logins.next(logins))

    def deliver(self, events: list[Event]) -> None:
        """Sends them until all are acknowledged: what failed is sent again, with those that did not fail."""

        def delivered() -> bool:
            try:
                with LoginProducer(self.settings.kafka, pack=5, delivery_seconds=10, connect_seconds=3) as producer:
                    for event in events:
                        (producer.send_raw if event.whole else producer.send_bytes)(event.raw, event.subject)
                    producer.flush(20)
            except (RollcallError, KafkaError, OSError):
                return False
            return True

        if not wait_until(delivered, SETTLE_SECONDS, pause=0.5):
            raise AssertionError("Kafka does not take events any more")
        self.sent = (self.sent + events)[-REMEMBERED // 2 :]
        for event in events:
            if event.login is not None:
                member, row = self.log.row_of(event.login, 0)
                known = self.acknowledged.rows.get(member)
                self.acknowledged.rows[member] = row if known is None else known.join(row)

    @contextmanager
    def arriving(self, logins: int = 40, pause: float = 0.2) -> Iterator[None]:
        """Events go on arriving while the block runs."""
        ending, failed = threading.Event(), []

        def go_on() -> None:
            try:
                while not ending.wait(pause):
                    self.produce(logins)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join(SETTLE_SECONDS)
        if failed:
            raise failed[0]

    def replay(self) -> None:
        """Everything that was ever sent, once more: as a broker does that sends its whole history again."""
        events, self.sent = self.sent, []
        self.deliver(events)

    # The stack

    def pid_of(self, service: str) -> int:
        pid = next(each.pid for each in status(self.stack) if each.name == service)
        assert pid is not None
        return pid

    def kill_server(self, service: str) -> None:
        """`kill -9`; returns when the process is gone."""
        os.kill(self.pid_of(service), signal.SIGKILL)
        if not wait_until(lambda: next(e.pid for e in status(self.stack) if e.name == service) is None, 20):
            raise AssertionError(f"{service} survives kill -9")

    def mend(self) -> None:
        """Whatever of the stack does not run is started again."""
        up(self.stack, lambda _: None)

    # Rounds

    @contextmanager
    def round(self, fault: str, seed: int) -> Iterator[Round]:
        """Hurt it in the block; at its end everything must settle, and be exact."""
        this = Round(fault, seed)
        crew, watcher = self.crew, self.watcher
        kills, restarts, events, broken = crew.kills, crew.restarts, self.log.events, len(watcher.broken)
        stored_before, distinct_before = crew.done_records()
        begun = time.monotonic()
        watcher.reset_pause()
        yield this
        self.settle()
        if watcher.fault is not None:
            raise AssertionError(f"the watcher could not look: {watcher.fault!r}")
        total, distinct = crew.done_records()
        this.records, this.repeated = distinct - distinct_before, total - stored_before - (distinct - distinct_before)
        this.found = self.differences()
        this.kills, this.restarts = crew.kills - kills, crew.restarts - restarts
        this.events, this.ahead = self.log.events - events, len(watcher.broken) - broken
        this.pause, this.seconds = watcher.longest_pause, time.monotonic() - begun

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Returns when a worker has committed all that is in the log. AssertionError when nothing moved for so long."""
        least, deadline = None, time.monotonic() + seconds
        while True:
            self.crew.tend()
            with suppress(*AWAY):
                lag = self.watcher.look()
                if lag == 0:
                    return
                if least is None or lag < least:
                    least, deadline = lag, time.monotonic() + seconds
            if time.monotonic() > deadline:
                words = "\n".join(worker.words() for worker in self.crew.workers)
                raise AssertionError(f"nothing moves for {seconds:.0f} s, lag {self.watcher.lag}, "
                                     f"last error {self.watcher.last_error}:\n{words}")
            time.sleep(0.15)

    def look(self) -> None:
        """The watcher's exact look, while nothing runs."""
        if not wait_until(self.looked, 30):
            raise AssertionError("the stack does not answer")

    def looked(self) -> bool:
        """False when a server is away."""
        with suppress(*AWAY):
            self.watcher.look()
            return True
        return False

    def differences(self) -> Difference:
        """What is stored against the truth, both ways."""
        with connect(self.settings) as client:
            found = stored(client)
        found.kept = kept_aside(self.settings, self.logins)
        difference = compare(self.log.expected, found)
        lost = [m for m, row in self.acknowledged.rows.items()
                if (logged := self.log.expected.rows.get(m)) is None or not logged._replace(recorded_in=0).covers(row)]
        assert not lost, f"{len(lost)} logins that Kafka acknowledged are not in its log"
        return difference
