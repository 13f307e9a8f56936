"""kill -9 of `rollcall source run --all`: every kind of source at once, into Kafka, which is away in some rounds.

Then a worker counts, and an oracle that knows what the brokers hold looks at the log and at the counts.

    python -m tests.faults --readers 20
"""

from __future__ import annotations

import json
import random
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import text

from infra.kafka.connection import kafka_python_options
from infra.local.ports import LOOPBACK, free_port
from infra.migrate import migrate
from infra.waiting import wait_until
from producers.polling.database import engine_of
from schemas.settings import KafkaSettings, Settings
from tests.broker_database import guacamole_tables, horizon_tables
from tests.faults.readers import syslog_line
from tests.faults.stack import own_stack
from tests.integration.command import rollcall, start
from tests.integration.test_producer import events_of, records
from tests.log_analytics_server import LogAnalyticsServer, connection
from tests.monitor_server import MonitorServer, session

EACH = 40
"""New logins of each polled broker before a round; as many come while it runs."""
SOURCES = ("/citrix", "/avd", "/guacamole", "/horizon", "/syslog")
LINES = 30
"""That the syslog sender says at a time."""
AGAIN = 4_000
"""Lines that it says again after a broken connection: more than two systems' buffers hold."""
MONTH = "2026-10"
BEGIN, STEP = datetime(2026, 10, 20, tzinfo=UTC), timedelta(minutes=2)
"""Of the polled ones: a round's logins take longer than the overlap, which would mend what is acknowledged too late."""


class Outcome(NamedTuple):
    kills: int
    logins: dict[str, int]
    """By source, what the brokers hold: as many users."""
    logged: int
    """Events in Kafka, those sent again among them."""
    missing: dict[str, int]
    extra: dict[str, int]
    counted: dict[str, int]

    @property
    def good(self) -> bool:
        return not self.missing and not self.extra and self.counted == self.logins


class Brokers:
    """Of each kind one, with as many users as logins, and a SKU of its own."""

    def __init__(self, folder: Path) -> None:
        self.monitor, self.azure = MonitorServer(page=20), LogAnalyticsServer()
        self.databases = {f"/{name}": f"sqlite:///{folder}/{name}.db" for name in ("guacamole", "horizon")}
        self.port, self.polled, self.sent = free_port(), 0, 0
        for source, url in self.databases.items():
            with engine_of(url).begin() as broker:
                (guacamole_tables if source == "/guacamole" else horizon_tables)(broker)

    def catalogue(self) -> str:
        client = {"client": "client", "secret": "env:KEY"}
        read: dict[str, tuple[str, dict[str, object]]] = {
            "/citrix": (self.monitor.base, client | {"customer": "acme", "trust": self.monitor.trust}),
            "/avd": (self.azure.base, client | {"directory": "directory", "trust": self.azure.trust}),
            "/guacamole": (self.databases["/guacamole"], {"zone": "UTC"}),
            "/horizon": (self.databases["/horizon"], {"zone": "UTC", "prefix": "h_"}),
            "/syslog": (f"tcp://{LOOPBACK}:{self.port}", {}),
        }
        polled = {"since": "2026-10-01", "every_seconds": 1}
        overlap = {"/citrix": 0, "/avd": 0, "/guacamole": 70, "/horizon": 70}
        return yaml.safe_dump({
            "programmes": {"csp": {"time_zone": "UTC"}},
            "tenants": [{"id": "a", "name": "A"}],
            "skus": [
                {"id": source[1:], "name": source, "programme": "csp", "family": "f", "deployment": "cloud"}
                for source in SOURCES
            ],
            "sources": [
                {
                    "source": source, "kind": source[1:], "reads": url,
                    "settings": given | {"tenant": "a", "sku": source[1:]} | (
                        polled | {"overlap_minutes": overlap[source]} if source in overlap else {}
                    ),
                }
                for source, (url, given) in read.items()
            ],
        })  # fmt: skip

    def tell(self, number: int) -> None:
        """So many logins more, of each polled one."""
        for n in range(self.polled, self.polled + number):
            at, user = BEGIN + n * STEP, f"user-{n}@a.example"
            self.monitor.sessions.append(session(n, at, user))
            self.azure.rows.append(connection(n, at, user))
            values = {"n": n, "u": user, "t": at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")}
            for source, url in self.databases.items():
                with engine_of(url).begin() as broker:
                    broker.execute(text(
                        "INSERT INTO guacamole_connection_history VALUES (:n, NULL, :u, '', 1, 'Desk', NULL, NULL, :t,"
                        " NULL)" if source == "/guacamole" else
                        "INSERT INTO h_event VALUES (:n, 'AGENT_CONNECTED', 'INFO', :t, :u, 'pool')"
                    ), values)  # fmt: skip
        self.polled += number

    def truth(self) -> dict[str, set[str]]:
        """Users by source."""
        names = {f"user-{n}@a.example" for n in range(self.polled)}
        lines = {f"S-1-5-21-{n}" for n in range(self.sent)}
        return {source: lines if source == "/syslog" else names for source in SOURCES}

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Logins come while the block runs; the syslog sender says its last lines again first, as a relay does."""
        ended = threading.Event()
        threads = [threading.Thread(target=each, args=(ended,)) for each in (self._grow, self._send)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join(60)

    def _grow(self, ended: threading.Event) -> None:
        for _ in range(EACH):
            if ended.wait(0.05):
                return
            self.tell(1)

    def _send(self, ended: threading.Event) -> None:
        while not ended.wait(0.02):
            with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=5) as sender:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
                at = max(0, self.sent - AGAIN)
                while not ended.wait(0.005):
                    self.sent = max(self.sent, at + LINES)
                    sender.sendall(b"".join(syslog_line(n) for n in range(at, at + LINES)))
                    at += LINES


def killed(settings: Settings, brokers: Brokers, rounds: int, rng: random.Random) -> Outcome:
    """The settings' catalogue is `brokers`', migrated. In every third round Kafka is away."""
    kills = 0
    for number in range(rounds):
        brokers.tell(EACH)
        bootstrap = f"{LOOPBACK}:{free_port()}" if number % 3 == 1 else settings.kafka.bootstrap
        before = stored(settings)
        run = start(settings, "source", "run", "--all", ROLLCALL_KAFKA_BOOTSTRAP=bootstrap, KEY="s3cret")
        try:
            with brokers.speaking():
                assert wait_until(partial(moved, settings, before), 60.0, pause=0.01), "nothing moves"
                time.sleep(rng.choice((0.05, 2.0)) * rng.random())
                assert run.poll() is None, "it ended by itself"
                run.kill()
                run.wait()
        finally:
            run.kill()
            run.communicate()
        kills += run.returncode == -signal.SIGKILL
    run = start(settings, "source", "run", "--all", KEY="s3cret")
    try:
        sent = brokers.sent
        with brokers.speaking():
            assert wait_until(lambda: brokers.sent > sent, 60.0), "nobody listens"
        assert wait_until(partial(all_there, settings.kafka, brokers.truth()), 60.0, pause=1.0), "it does not all come"
        run.terminate()
        _, said = run.communicate(timeout=60)
        assert run.returncode == 0, said.decode()
    finally:
        run.kill()
        run.wait()
    return judged(settings, brokers.truth(), kills)


def judged(settings: Settings, truth: dict[str, set[str]], kills: int) -> Outcome:
    found = logged(settings.kafka)
    drained = rollcall(settings, "worker", "--drain")
    assert drained.code == 0, drained.err
    counts = json.loads(rollcall(settings, "counts", MONTH, "--format", "json").out)
    users = {source: {user for told, user in found if told == source} for source in SOURCES}
    apart = [{s: len(one[s] - other[s]) for s in SOURCES if one[s] - other[s]}
             for one, other in ((truth, users), (users, truth))]  # fmt: skip
    return Outcome(
        kills, {source: len(names) for source, names in truth.items()}, found.total(), *apart,
        {f"/{row['sku']}": row["active_users"] for row in counts},
    )  # fmt: skip


def logged(kafka: KafkaSettings) -> Counter[tuple[str, str]]:
    """Events by source and user."""
    return Counter((each["source"], each["subject"]) for record in records(kafka) for each in events_of(record))


def all_there(kafka: KafkaSettings, truth: dict[str, set[str]]) -> bool:
    found = logged(kafka)
    return all((source, user) in found for source, users in truth.items() for user in users)


def moved(settings: Settings, before: tuple[int, int]) -> bool:
    return any(now > then for now, then in zip(stored(settings), before, strict=True))


def stored(settings: Settings) -> tuple[int, int]:
    """Records in Kafka, and bytes in the listener's spool."""
    with KafkaConsumer(**kafka_python_options(settings.kafka)) as consumer:
        places = [TopicPartition(settings.kafka.topic, n) for n in consumer.partitions_for_topic(settings.kafka.topic)]
        behind = sum(consumer.end_offsets(places).values())
    spooled = (settings.home / "sources" / "syslog.spool").glob("*.spool")
    return int(behind), sum(file.stat().st_size for file in spooled)


def report(rounds: int, seed: int = 6) -> int:
    """A line. Returns the exit code."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-faults-")))
        stack = ends.enter_context(own_stack(folder))
        brokers = Brokers(folder)
        ends.enter_context(brokers.monitor)
        ends.enter_context(brokers.azure)
        catalogue = folder / "catalogue.yaml"
        catalogue.write_text(brokers.catalogue(), "utf-8")
        settings = stack.model_copy(update={"catalogue": catalogue})
        migrate(settings)
        outcome = killed(settings, brokers, rounds, random.Random(seed))
    held = ", ".join(f"{source} {number:,}" for source, number in outcome.logins.items())
    print(
        f"`rollcall source run --all`: {outcome.kills} × kill -9; {held}; {outcome.logged:,} events in Kafka; "
        f"missing {sum(outcome.missing.values())}, extra {sum(outcome.extra.values())}, counted "
        f"{'as many users' if outcome.counted == outcome.logins else outcome.counted}"
    )
    return 0 if outcome.good else 1
