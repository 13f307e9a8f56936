"""kill -9 of every reader, as often as asked, each time somewhere else; then one goes to the end, and the oracle looks:
no login missing, none invented, none twice under different ids.

    python -m tests.faults --readers 20

What is sent goes to a file, durable at every flush (for syslog: Kafka is away, and the spool takes it), so that what
was acknowledged can be told. Everything else is the real thing: the broker's protocol, the database, the watermark.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import urllib3
from sqlalchemy import text

from infra.local.ports import free_port
from producers.adapters.adapter import Adapter, AdapterOptions
from producers.adapters.avd import AvdAdapter
from producers.adapters.citrix import CitrixAdapter
from producers.adapters.guacamole import GuacamoleAdapter
from producers.adapters.horizon import HorizonAdapter
from producers.gateway.spool import Spool
from producers.listening.syslog import run_syslog
from producers.polling.citrix import sessions
from producers.polling.citrix_login import CloudLogin
from producers.polling.database import Query, engine_of, guacamole, horizon, rows
from producers.polling.log_analytics import EntraLogin, Workspace, connections
from producers.polling.odata import Service
from producers.polling.reader import Refusals, read
from producers.polling.watermark import Watermark
from schemas.array import elements
from schemas.calendar import zone_named
from schemas.settings import KafkaSettings
from schemas.source_settings import SyslogSettings
from tests.broker_database import guacamole_tables, horizon_tables
from tests.log_analytics_server import LogAnalyticsServer, connection
from tests.monitor_server import MonitorServer, some_sessions
from tests.polled import BEGIN, FileSender

LOGINS, USERS, PAGE = 1200, 400, 20
STEP = timedelta(seconds=20)
SLOW = 0.03  # seconds of every flush, so that there is time to be killed in
UTC_ZONE = AdapterOptions(zone_named("UTC"))
Login = tuple[str, str]
"""Id and user."""


class Outcome(NamedTuple):
    reader: str
    rounds: int
    logins: int
    sent: int
    """Those sent again among them."""
    missing: int
    extra: int

    @property
    def good(self) -> bool:
        return self.missing == self.extra == 0


def polled(folder: Path, make: Callable[[Any], Any], adapter: Adapter) -> None:
    with Watermark(folder, "source") as watermark:
        read(  # from the mark itself: an overlap would mend what is acknowledged too late
            make(watermark.mark or BEGIN), adapter, FileSender(folder / "sent", SLOW), watermark,
            Refusals(folder / "source.rejects"), source="/source",
        )  # fmt: skip


def read_citrix(folder: Path, base: str, trust: str) -> None:
    http = urllib3.PoolManager(maxsize=1, block=True)
    service = Service(base, CloudLogin("acme", "client", "s3cret", http, trust), http, sleep=lambda _: None)
    polled(folder, lambda since: sessions(service, since), CitrixAdapter(UTC_ZONE))


def read_avd(folder: Path, base: str, trust: str) -> None:
    http = urllib3.PoolManager(maxsize=1, block=True)
    workspace = Workspace(base, EntraLogin("directory", "client", "s3cret", http, trust, trust), http)
    polled(folder, lambda since: connections(workspace, since, portion=PAGE), AvdAdapter(UTC_ZONE))


def read_database(folder: Path, url: str, which: str) -> None:
    query: Query = guacamole if which == "guacamole" else horizon("h_")
    adapter: Adapter = GuacamoleAdapter(UTC_ZONE) if which == "guacamole" else HorizonAdapter(UTC_ZONE)
    engine = engine_of(url)
    polled(folder, lambda since: rows(engine, query, since, portion=PAGE), adapter)


def user(number: int) -> str:
    return f"user-{number % USERS}@customer-a.example"


def sent(folder: Path) -> list[Login]:
    """What was acknowledged; a line that a kill cut off was not."""
    try:
        lines = (folder / "sent").read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    found = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]
    return [(event["id"], event["subject"]) for event in found]


def killed(target: Callable[..., None], arguments: tuple[Any, ...], folder: Path, rounds: int, seed: int) -> int:
    """Starts and kills it; then lets it end. Returns how often it was killed before its end."""
    context, chance, kills, file = _context(), random.Random(seed), 0, folder / "sent"
    per_login = 350  # bytes, about

    def size() -> int:
        return file.stat().st_size if file.exists() else 0

    for _ in range(rounds):
        upto = size() + chance.uniform(0.0, 0.4) * per_login * LOGINS / rounds
        reader = context.Process(target=target, args=(folder, *arguments))
        reader.start()
        deadline = time.monotonic() + 60
        while size() < upto and reader.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 2 * SLOW))
        reader.kill()
        reader.join()
        kills += reader.exitcode == -9
    reader = context.Process(target=target, args=(folder, *arguments))
    reader.start()
    reader.join(120)
    assert reader.exitcode == 0, "the last one goes to the end"
    return kills


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.readers"])
    return context


def judge(name: str, kills: int, truth: set[Login], found: list[Login]) -> Outcome:
    return Outcome(name, kills, len(truth), len(found), len(truth - set(found)), len(set(found) - truth))


@contextmanager
def citrix(folder: Path) -> Iterator[tuple[Callable[..., None], tuple[Any, ...], set[Login]]]:
    with MonitorServer(some_sessions(LOGINS, BEGIN, step=STEP, users=USERS), page=PAGE) as server:
        truth = {(one["SessionKey"], one["User"]["Upn"]) for one in server.sessions}
        yield read_citrix, (server.base, server.trust), truth


@contextmanager
def avd(folder: Path) -> Iterator[tuple[Callable[..., None], tuple[Any, ...], set[Login]]]:
    with LogAnalyticsServer([connection(n, BEGIN + n * STEP, user(n)) for n in range(LOGINS)]) as server:
        truth = {(row["CorrelationId"], row["UserName"]) for row in server.rows}
        yield read_avd, (server.base, server.trust), truth


@contextmanager
def database(folder: Path, which: str) -> Iterator[tuple[Callable[..., None], tuple[Any, ...], set[Login]]]:
    url = f"sqlite:///{folder}/broker.db"
    with engine_of(url).begin() as broker:
        (guacamole_tables if which == "guacamole" else horizon_tables)(broker)
        for n in range(LOGINS):
            time = (BEGIN + n * STEP).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            broker.execute(text(
                "INSERT INTO guacamole_connection_history VALUES (:n, NULL, :u, '', 1, 'Desk', NULL, NULL, :t, NULL)"
                if which == "guacamole" else
                "INSERT INTO h_event VALUES (:n, 'AGENT_CONNECTED', 'INFO', :t, :u, 'pool')"
            ), {"n": n, "u": user(n), "t": time})  # fmt: skip
    yield read_database, (url, which), {(str(n), user(n)) for n in range(LOGINS)}


def polled_reader(name: str, folder: Path, rounds: int, seed: int = 6) -> Outcome:
    opened = {"citrix": citrix, "avd": avd}.get(name)
    with opened(folder) if opened else database(folder, name) as (target, arguments, truth):
        kills = killed(target, arguments, folder, rounds, seed)
    return judge(name, kills, truth, sent(folder))


WINDOW = 8_000
"""Messages that the sender of the test sends again after a broken connection, as a relay with a buffer does."""


def listen(folder: Path, port: int) -> None:
    """Kafka is away: all goes to the spool."""
    kafka = KafkaSettings(bootstrap="127.0.0.1:1")
    run_syslog(
        "/source", f"tcp://127.0.0.1:{port}", SyslogSettings(), folder, kafka, threading.Event(), lambda _: None
    )


def syslog_line(number: int) -> bytes:
    at = (BEGIN + timedelta(milliseconds=number)).isoformat(timespec="milliseconds")
    line = (
        f'<110>1 {at} view-{number} View - 101 [View@6876 EventType="AGENT_CONNECTED" UserSID="S-1-5-21-{number}" '
        f'DesktopId="pool"]'
    ).encode()
    return b"%d %s" % (len(line), line) if number % 2 else line + b"\n"


def syslog_reader(folder: Path, rounds: int, seed: int = 6) -> Outcome:
    """TCP. What a kill costs is the end of what was sent, never something between; sent again, nothing is missing."""
    context, chance, port = _context(), random.Random(seed), free_port()
    at, kills = 0, 0
    for number in range(rounds + 1):
        listener = context.Process(target=listen, args=(folder, port))
        listener.start()
        with _connected(port) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
            at = max(0, at - WINDOW)
            end = at + WINDOW + LOGINS if number else LOGINS
            death = threading.Timer(chance.uniform(0.05, 0.5), listener.kill)
            if number < rounds:
                death.start()
            with suppress(OSError):  # killed
                while at < end:
                    upto = min(at + 50, end)
                    sender.sendall(b"".join(syslog_line(n) for n in range(at, upto)))
                    at = upto
                    time.sleep(0.002)
            if number == rounds:
                _until_spooled(folder, at - 1)
                listener.kill()
            listener.join()
            kills += listener.exitcode == -9
        stored = [int(event["subject"].removeprefix("S-1-5-21-")) for event in spooled(folder)]
        assert set(stored) == set(range(max(stored, default=-1) + 1)), "something between is missing"
        lost = at - len(set(stored))
        assert lost <= WINDOW, f"{lost} at once: the sender of this test remembers too little"
    truth = set(range(at))
    return Outcome("syslog", kills - 1, at, len(stored), len(truth - set(stored)), len(set(stored) - truth))


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sender:
                yield sender
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.01)


def spooled(folder: Path) -> list[dict[str, Any]]:
    spool = Spool(folder / "source.spool", 1 << 30)
    found = []
    while (segment := spool.oldest()) is not None:
        found += [json.loads(raw) for payload in spool.read(segment) for raw in elements(payload)]
        spool._segments.pop(segment)
    spool.close()
    return found


def _until_spooled(folder: Path, number: int) -> None:
    wanted, deadline = f'"S-1-5-21-{number}"'.encode(), time.monotonic() + 30
    while not any(wanted in file.read_bytes() for file in sorted((folder / "source.spool").glob("*.spool"))[-2:]):
        assert time.monotonic() < deadline, "the last message is not stored"
        time.sleep(0.01)


READERS = ("citrix", "avd", "guacamole", "horizon", "syslog")


def run(name: str, folder: Path, rounds: int, seed: int = 6) -> Outcome:
    return syslog_reader(folder, rounds, seed) if name == "syslog" else polled_reader(name, folder, rounds, seed)


def report(rounds: int) -> int:
    """All readers, a line each. Returns the exit code."""
    print("reader     killed   logins     sent  missing    extra")
    good = True
    for name in READERS:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(name, Path(folder), rounds)
        good = good and outcome.good
        print(
            f"{name:10}{outcome.rounds:7}{outcome.logins:9}{outcome.sent:9}{outcome.missing:9}{outcome.extra:9}",
            flush=True,
        )
    return 0 if good else 1
