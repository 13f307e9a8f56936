"""The dedup job as a process: killed, stopped, doubled, cut off from its store; the stored sets stay exact."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from examples.brokers import Simulation, simulate
from infra.clickhouse.client import connect
from infra.kafka.connection import admin_client, kafka_python_options
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import down, status, up
from infra.migrate import migrate
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from infra.waiting import wait_until
from producers.client import LoginProducer
from schemas.calendar import month_name
from schemas.event import read_event
from schemas.settings import Settings
from tests.integration.command import environment, rollcall, start

MONTHS = [date(2026, 2, 1), date(2026, 3, 1)]
SMALL_BATCHES = {"max_poll_records": 40}
"""Many batches, so that a kill finds the worker in the middle."""

Sets = dict[tuple[str, str, str], set[bytes]]


@pytest.fixture(scope="module")
def logins() -> Simulation:
    return simulate(7, MONTHS, datetime(2026, 3, 28, tzinfo=UTC), users=1_500, logins=15_000)


@pytest.fixture
def prepared(make_settings: Callable[..., Settings], logins: Simulation) -> Settings:
    """Migrated, with all logins in the topic, in small records."""
    settings = make_settings(logins.catalogue, worker=SMALL_BATCHES)
    produce(settings, logins)
    return settings


def produce(settings: Settings, logins: Simulation, pack: int = 10) -> None:
    with LoginProducer(settings.kafka, pack=pack) as producer:
        for raw in logins.events:
            producer.send_bytes(raw, read_event(raw).subject)
        producer.flush(60)


def stored(client: Client) -> Sets:
    rows = client.query("SELECT DISTINCT month, tenant, sku, subject FROM active_users").result_rows
    found: Sets = {}
    for month, tenant, sku, subject in rows:
        found.setdefault((month_name(month), tenant, sku), set()).add(bytes(subject))
    return found


def expected(settings: Settings, logins: Simulation) -> Sets:
    pseudonyms = MonthlyPseudonyms(pseudonym_keys(settings)).first
    return {cell: {pseudonyms.of(cell[1], name) for name in names} for cell, names in logins.truth.items()}


def assert_exact(settings: Settings, logins: Simulation) -> None:
    """Both ways: nobody is missing, nobody is extra."""
    truth = expected(settings, logins)
    with connect(settings) as client:
        found = stored(client)
    assert sum(map(len, truth.values())) > 3_000
    assert differences(truth, found) == {}, "missing"
    assert differences(found, truth) == {}, "extra"


def differences(some: Sets, others: Sets) -> dict[tuple[str, str, str], int]:
    """How many of `some` the others lack, by cell; cells that lack none are left out."""
    lacking = {cell: len(people - others.get(cell, set())) for cell, people in some.items()}
    return {cell: number for cell, number in lacking.items() if number}


def rows(client: Client) -> int:
    return int(client.query("SELECT count() FROM active_users").result_rows[0][0])


def committed(settings: Settings) -> int:
    """Offsets committed so far, over all partitions."""
    group = f"{settings.kafka.group}-g1"
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        found = admin.list_group_offsets({group: None})[group]
    return sum(max(0, offset.offset) for offset in found.values())


@contextmanager
def worker(settings: Settings, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    process = start(settings, "worker", **changes)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def members(settings: Settings) -> int:
    """Workers that have joined the group."""
    group = f"{settings.kafka.group}-g1"
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        return len(admin.describe_groups([group])[group]["members"])


def test_drain_ends_when_all_is_stored(prepared: Settings, logins: Simulation) -> None:
    outcome = rollcall(prepared, "worker", "--drain")
    assert outcome.code == 0, outcome.err
    assert_exact(prepared, logins)
    again = rollcall(prepared, "worker", "--drain")
    assert again.code == 0, again.err
    assert "events 0" in again.err


def test_kill_nine_in_the_middle_loses_nobody(prepared: Settings, logins: Simulation) -> None:
    rng = random.Random(3)
    with connect(prepared) as client:
        before = 0
        for _ in range(4):
            with worker(prepared) as process:
                assert wait_until(lambda: rows(client) > before + rng.randrange(50, 800), 60)  # noqa: B023
                process.kill()
            before = rows(client)
    assert rollcall(prepared, "worker", "--drain").code == 0
    assert_exact(prepared, logins)


def test_sigterm_stores_and_commits_what_is_in_hand(prepared: Settings, logins: Simulation) -> None:
    with connect(prepared) as client, worker(prepared) as process:
        assert wait_until(lambda: rows(client) > 500, 60)
        process.terminate()
        assert process.wait(30) == 0
        read = int(client.query("SELECT sum(next_offset) FROM ingest_progress FINAL").result_rows[0][0])
    assert committed(prepared) == read
    assert rollcall(prepared, "worker", "--drain").code == 0
    assert_exact(prepared, logins)


def test_two_workers_share_the_partitions(prepared: Settings, logins: Simulation) -> None:
    with worker(prepared) as one, worker(prepared) as two:
        outcome = rollcall(prepared, "worker", "--drain")
        assert outcome.code == 0, outcome.err
        assert one.poll() is None
        assert two.poll() is None
    assert_exact(prepared, logins)


def test_fausts_own_command_runs_it_too(prepared: Settings, logins: Simulation) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "faust", "-A", "stream_jobs.dedup", "worker", "-l", "warn"],
        env=environment(prepared), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        truth = sum(len(people) for people in expected(prepared, logins).values())
        with connect(prepared) as client:
            assert wait_until(lambda: sum(map(len, stored(client).values())) >= truth, 90, pause=0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    finally:
        if process.poll() is None:
            process.kill()
    assert_exact(prepared, logins)


def test_a_worker_with_another_key_refuses(prepared: Settings) -> None:
    outcome = rollcall(prepared, "worker", "--drain", ROLLCALL_KEY=os.urandom(32).hex())
    assert outcome.code == 2
    assert "not the one that this data was written with" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_worker_without_a_migrated_store_refuses(make_settings: Callable[..., Settings]) -> None:
    outcome = rollcall(make_settings(None), "worker", "--drain")
    assert outcome.code == 2
    assert "rollcall migrate" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("variable", "server"), [("ROLLCALL_KAFKA_BOOTSTRAP", "Kafka"), ("ROLLCALL_CLICKHOUSE_URL", "ClickHouse")]
)
def test_a_server_out_of_reach_is_named(settings: Settings, variable: str, server: str) -> None:
    address = f"{LOOPBACK}:{free_port()}"
    value = address if server == "Kafka" else f"http://{address}"
    outcome = rollcall(settings, "worker", "--drain", **{variable: value})
    assert outcome.code == 3
    assert server in outcome.err
    assert address in outcome.err
    assert variable in outcome.err
    assert "Traceback" not in outcome.err


def test_a_hanging_worker_is_ended_by_its_watchdog(prepared: Settings, logins: Simulation) -> None:
    """The engine of a stack of its own is frozen: it accepts and never answers."""
    with own_stack(prepared, logins) as (settings, engine):
        with connect(settings) as client, worker(settings, ROLLCALL_WORKER_STALL_SECONDS="6") as process:
            assert wait_until(lambda: rows(client) > 200, 60)
            os.kill(engine, signal.SIGSTOP)
            try:
                assert process.wait(60) == 70
            finally:
                os.kill(engine, signal.SIGCONT)
            assert process.stderr is not None
            assert b"nothing moved for" in process.stderr.read()
        assert rollcall(settings, "worker", "--drain").code == 0
        assert_exact(settings, logins)


def test_clickhouse_away_for_twenty_seconds_is_ridden_out(prepared: Settings, logins: Simulation) -> None:
    with own_stack(prepared, logins) as (settings, engine):
        with connect(settings) as client, worker(settings) as process:
            assert wait_until(lambda: rows(client) > 200, 60)
            os.kill(engine, signal.SIGKILL)
            back = time.monotonic() + 20
            wait_until(lambda: time.monotonic() > back, 25)
            up(settings, print)
            truth = sum(len(people) for people in expected(settings, logins).values())
            with connect(settings) as again:
                assert wait_until(lambda: sum(map(len, stored(again).values())) >= truth, 90, pause=0.5)
            assert process.poll() is None
            process.terminate()
            assert process.wait(40) == 0
        assert_exact(settings, logins)


def test_a_rebalance_while_clickhouse_is_away_is_ridden_out_too(prepared: Settings, logins: Simulation) -> None:
    quick = {"ROLLCALL_WORKER_SESSION_SECONDS": "6"}
    with own_stack(prepared, logins) as (settings, engine), connect(settings) as client:
        with worker(settings, **quick) as one, worker(settings, **quick) as two:
            assert wait_until(lambda: rows(client) > 200, 60)
            os.kill(engine, signal.SIGKILL)
            two.kill()  # its partitions go to the first one when its session is over
            over = time.monotonic() + 12
            wait_until(lambda: time.monotonic() > over, 15)
            assert one.poll() is None
            up(settings, print)
            truth = sum(len(people) for people in expected(settings, logins).values())
            with connect(settings) as again:
                assert wait_until(lambda: sum(map(len, stored(again).values())) >= truth, 90, pause=0.5)
            one.terminate()
            assert one.wait(40) == 0
        assert_exact(settings, logins)


def test_an_outage_longer_than_the_setting_ends_the_worker_in_front_of_the_batch(
    prepared: Settings, logins: Simulation
) -> None:
    with own_stack(prepared, logins) as (settings, engine):
        with connect(settings) as client, worker(settings, ROLLCALL_WORKER_INSERT_RETRY_SECONDS="3") as process:
            assert wait_until(lambda: rows(client) > 200, 60)
            os.kill(engine, signal.SIGKILL)
            assert process.wait(60) == 70
            assert process.stderr is not None
            assert b"does not answer" in process.stderr.read()
        up(settings, print)
        assert rollcall(settings, "worker", "--drain").code == 0
        assert_exact(settings, logins)


@contextmanager
def own_stack(model: Settings, logins: Simulation) -> Iterator[tuple[Settings, int]]:
    """A stack that may be hurt, with all logins in its topic; and the engine's process id."""
    kafka, clickhouse = free_port(), free_port()
    home = Path(model.catalogue).parent / "own"
    settings = model.model_copy(update={
        "home": home,
        "kafka": model.kafka.model_copy(update={"bootstrap": f"{LOOPBACK}:{kafka}"}),
        "clickhouse": type(model.clickhouse)(url=f"http://{LOOPBACK}:{clickhouse}"),
        "local": type(model.local)(kafka_port=kafka, clickhouse_port=clickhouse),
    })  # fmt: skip
    try:
        up(settings, print)
        migrate(settings)
        produce(settings, logins)
        pid = next(service.pid for service in status(settings) if service.name == "ClickHouse")
        assert pid is not None
        yield settings, pid
    finally:
        down(settings, print)
