"""What operators see: a worker's metrics and health, `status`, `doctor`, `metrics`; held against what happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from clickhouse_connect.driver.client import Client
from prometheus_client.parser import text_string_to_metric_families as parse

from infra.local.ports import LOOPBACK, free_port, is_free
from infra.local.stack import status
from infra.waiting import wait_until
from producers.client import LoginProducer
from schemas.settings import Settings
from tests.faults.proxy import Fault, Proxy
from tests.integration.command import Outcome, environment, rollcall, start
from tests.panels import Asked, alerts, promql, scrape, unanswered
from tests.promql import Series

PEOPLE, TIMES = 50, 4
MONTH = "2026-10"


BAD = 2


def logins(day: int) -> list[bytes]:
    """Everybody, as often as TIMES; one of an unknown SKU, and one event that is none."""
    event = (
        '{{"specversion":"1.0","id":"{n}","source":"/broker/1","type":"rollcall.login.v1",'
        '"time":"2026-10-{day:02}T09:00:00Z","subject":"user{n}","data":{{"tenant":"customer-a","sku":"{sku}"}}}}'
    )
    good = [event.format(n=n, day=day, sku="DAAS-PREM-T1").encode() for _ in range(TIMES) for n in range(PEOPLE)]
    return [*good, event.format(n=0, day=day, sku="NO-SUCH").encode(), b'{"no":"event"}']


def produce(settings: Settings, day: int = 5) -> None:
    with LoginProducer(settings.kafka) as producer:
        for number, raw in enumerate(logins(day)):
            producer.send_bytes(raw, f"user{number % PEOPLE}")
        producer.flush(30)


def two_free_ports() -> int:
    while not is_free((port := free_port()) + 1):
        pass
    return port


@pytest.fixture
def port() -> int:
    return two_free_ports()


@contextmanager
def worker(settings: Settings, port: int, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    process = start(settings, "worker", ROLLCALL_METRICS_PORT=str(port), **changes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def proxy_of(proxy: Proxy) -> dict[str, str]:
    return {"ROLLCALL_CLICKHOUSE_URL": f"http://{LOOPBACK}:{proxy.port}"}


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read()
    except HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def health(port: int, name: str) -> int:
    return get(port, f"/health/{name}")[0]


def metrics(port: int) -> dict[str, float]:
    """Sums over labels, by sample name."""
    found: dict[str, float] = {}
    for family in parse(get(port, "/metrics")[1].decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def of_a_worker(asked: Asked) -> bool:
    return not (asked.of_the_month or asked.of_a_gateway)


def test_a_worker_tells_what_it_did(settings: Settings, client: Client, port: int) -> None:
    """Its first insert is refused once; what dashboards and whole alert expressions ask of it has answers."""
    series = Series()

    def scraped(time: float) -> None:
        scrape(series, get(port, "/metrics")[1].decode(), time, job="rollcall-worker", instance="w")

    with Proxy(settings.local.clickhouse_port) as proxy, worker(
        settings, port, ROLLCALL_WORKER_QUARANTINE_SAMPLE="100", **proxy_of(proxy)
    ) as one:  # fmt: skip
        assert wait_until(lambda: health(port, "ready") == 200, 60, pause=0.3)
        scraped(0.0)
        proxy.set(Fault("answer", times=1, status=503, text="no upstream"))
        produce(settings)
        assert wait_until(lambda: metrics(port).get("rollcall_events_total") == PEOPLE * TIMES + BAD, 60, pause=0.3)
        found = metrics(port)
        rows = int(client.query("SELECT count() FROM active_users").result_rows[0][0])
        assert found["rollcall_rows_written_total"] >= rows == PEOPLE
        assert found["rollcall_rows_saved_total"] == PEOPLE * TIMES - found["rollcall_rows_written_total"]
        assert wait_until(lambda: metrics(port)["rollcall_cache_rows"] == PEOPLE, 10)
        assert wait_until(lambda: metrics(port)["rollcall_lag_records"] == 0, 10)
        assert wait_until(lambda: "rollcall_quarantine_ratio" in metrics(port), 10)
        scraped(30.0)
        scraped(60.0)
        assert sum(map(of_a_worker, (*promql(), *alerts()))) > 30
        assert unanswered(series, 60.0, of_a_worker) == []
        assert series.ask("sum by (step) (increase(rollcall_retries_total[1m]))", 60.0)
        [(labels, share)] = series.ask('rollcall_quarantine_ratio{source!="unknown"}', 60.0).items()
        assert (dict(labels)["source"], share) == ("/broker/1", pytest.approx(1 / (PEOPLE * TIMES + 1)))
        assert [health(port, name) for name in ("live", "ready", "stuck")] == [200, 200, 200]
        assert get(port, "/nothing")[0] == 404
        with worker(settings, port):  # another one beside it, on the next port
            assert wait_until(lambda: health(port + 1, "ready") == 200, 60, pause=0.3)
            assert wait_until(lambda: metrics(port)["rollcall_rebalances_total"] >= 2, 60, pause=0.3)
            both = port, port + 1
            assert wait_until(lambda: [metrics(p)["rollcall_assigned_partitions"] for p in both] == [2, 2], 30)
        assert one.poll() is None


def test_a_frozen_store_makes_it_stuck_and_a_thaw_makes_it_well(settings: Settings, port: int) -> None:
    """ClickHouse accepts, and never answers."""
    engine = next(service.pid for service in status(settings) if service.name == "ClickHouse")
    assert engine is not None
    patience = {"ROLLCALL_WORKER_STUCK_SECONDS": "3", "ROLLCALL_WORKER_STALL_SECONDS": "120"}
    with worker(settings, port, **patience, ROLLCALL_LOG_FORMAT="json") as process:
        assert wait_until(lambda: health(port, "ready") == 200, 60, pause=0.3)
        os.kill(engine, signal.SIGSTOP)
        try:
            produce(settings)
            assert wait_until(lambda: health(port, "stuck") == 503, 40, pause=0.3)
            code, body = get(port, "/health/ready")
            told = json.loads(body)
            assert (code, health(port, "live")) == (503, 200)
            assert told["lag_records"] > 0
            assert "nothing has moved" in told["why"][0]
            assert wait_until(lambda: metrics(port)["rollcall_stuck"] == 1, 10)
            shown = rollcall(
                settings, "status", "--format", "json", ROLLCALL_METRICS_PORT=str(port),
                ROLLCALL_CLICKHOUSE_TIMEOUT_SECONDS="2",
            )  # fmt: skip
            assert shown.code == 3, shown.err
            seen = json.loads(shown.out)
            assert [service["state"] for service in seen["services"]] == ["answers", "hangs"]
            assert [worker["stuck"] for worker in seen["workers"]] == [True]
            assert seen["log"]["lag_records"] > 0
            assert seen["errors"].keys() == {"store", "reports"}
        finally:
            os.kill(engine, signal.SIGCONT)
        assert wait_until(lambda: health(port, "stuck") == 200 and health(port, "ready") == 200, 60, pause=0.3)
        process.terminate()
        assert process.wait(40) == 0
        assert process.stderr is not None
        said = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert [line["level"] for line in said if "stuck: " in line["message"]] == ["warning"]


def test_kafka_s_transaction_marks_are_not_waited_for(settings: Settings, port: int) -> None:
    """Behind the last record stands a mark that nobody can read: no lag, and not stuck."""
    from kafka import KafkaProducer

    with worker(settings, port, ROLLCALL_WORKER_STUCK_SECONDS="2"):
        assert wait_until(lambda: health(port, "ready") == 200, 60, pause=0.3)
        producer = KafkaProducer(
            bootstrap_servers=settings.kafka.bootstrap, transactional_id=settings.kafka.topic, acks="all"
        )
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(settings.kafka.topic, logins(6)[0], partition=0)
        producer.commit_transaction()
        producer.close()
        assert wait_until(lambda: metrics(port).get("rollcall_events_total") == 1, 30, pause=0.3)
        moved = metrics(port)["rollcall_last_progress_timestamp_seconds"]
        assert wait_until(lambda: metrics(port)["rollcall_last_progress_timestamp_seconds"] > moved + 5, 30, pause=0.5)
        assert health(port, "stuck") == 200
        assert metrics(port)["rollcall_lag_records"] == 0


def test_a_taken_port_does_not_keep_it_from_counting(settings: Settings) -> None:
    taken = settings.local.kafka_port
    outcome = rollcall(settings, "worker", "--drain", ROLLCALL_METRICS_PORT=str(taken))
    assert outcome.code == 0, outcome.err
    assert "metrics and health are not served" in outcome.err


def test_status_tells_how_it_stands(settings: Settings, tmp_path: Path) -> None:
    produce(settings)
    behind = facts(settings)
    assert [service["state"] for service in behind["services"]] == ["answers", "answers"]
    assert behind["log"]["lag_records"] > 0
    assert behind["log"]["workers"] == 0
    assert behind["errors"] == {}
    assert rollcall(settings, "worker", "--drain").code == 0
    after = facts(settings)
    assert after["log"]["lag_records"] == 0
    assert after["store"]["seconds_since_newest"] < 300
    assert 0 < after["store"]["freshness_seconds"] < 300
    shown = rollcall(settings, "status")
    assert shown.code == 0, shown.err
    assert "records behind: 0" in shown.out
    away = rollcall(settings, "status", ROLLCALL_KAFKA_BOOTSTRAP=f"{LOOPBACK}:{free_port()}")
    assert away.code == 3
    assert "ROLLCALL_KAFKA_BOOTSTRAP" in away.out
    assert "newest stored record" in away.out, "the store is shown though Kafka is away"
    file = tmp_path / "rollcall.prom"
    assert rollcall(settings, "metrics", "--output", str(file)).code == 0
    exported = {family.name: family for family in parse(file.read_text())}
    assert sum(sample.value for sample in exported["rollcall_group_lag_records"].samples) == 0
    assert {sample.value for sample in exported["rollcall_up"].samples} == {1.0}


@pytest.mark.parametrize("way", ["json", "table", "terminal"])
def test_status_is_watched(settings: Settings, way: str) -> None:
    """An object a line, a page after a page, or a screen; until it is interrupted, which is no fault."""
    ours, theirs = os.openpty() if way == "terminal" else os.pipe()
    arguments = ["status", "--watch", "--format", "json" if way == "json" else "table"]
    process = subprocess.Popen(
        [sys.executable, "-m", "console.main", *arguments], env=environment(settings) | {"TERM": "xterm"},
        stdout=theirs, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # off, where tests run behind
    )  # fmt: skip
    try:
        os.close(theirs)
        text, ended = b"", time.monotonic() + 60
        while text.count(b'"at"' if way == "json" else b"records behind: ") < 2 and time.monotonic() < ended:
            text += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"Traceback" not in text
    if way == "json":
        first, second = [json.loads(line) for line in text.splitlines()[:2]]
        assert second["at"] > first["at"]
        assert second["log"]["records_in_per_second"] == 0
        assert second["errors"] == {}


def facts(settings: Settings) -> Any:
    outcome = rollcall(settings, "status", "--format", "json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_the_doctor_names_what_is_wrong(
    settings: Settings, make_settings: Callable[..., Settings], port: int, client: Client
) -> None:
    with worker(settings, port) as process:
        assert wait_until(lambda: health(port, "ready") == 200, 60, pause=0.3)
        well = rollcall(settings, "doctor", "--format", "json", ROLLCALL_METRICS_PORT=str(port))
        assert faults(well) == {}
        process.terminate()  # killed, it would stay in the group for a while
        assert process.wait(40) == 0
    settings.catalogue.write_text(settings.catalogue.read_text("utf-8") + "# changed\n", "utf-8")
    client.command("DROP VIEW closes")
    client.insert("quarantine_caps", [("/bad", 1, "trip", 10, 9)], ("source", "number", "action", "events", "refused"))
    ill = rollcall(settings, "doctor", "--format", "json", ROLLCALL_KEY="ab" * 32, ROLLCALL_KAFKA_RETENTION_DAYS="40")
    assert ill.code == 1
    cures = faults(ill)
    wanted = {
        "topics": "retention.ms", "schema": "closes", "pseudonym key": "ROLLCALL_KEY", "catalogue": "catalogue apply",
        "workers": "rollcall worker", "quarantine": "quarantine lift '/bad'",
    }  # fmt: skip
    assert cures.keys() == wanted.keys()
    assert {check: word for check, word in wanted.items() if word not in cures[check]} == {}
    bare = rollcall(make_settings(None), "doctor", "--format", "csv")
    assert bare.code == 1
    assert "rollcall migrate" in bare.out
    assert "Traceback" not in bare.err


def faults(outcome: Outcome) -> dict[str, str]:
    """What must be mended, by check; but for what is this machine's own, such as a disk that is full."""
    rows = [row for row in json.loads(outcome.out) if row["state"] == "mend"]
    machine = {"packages", "home", "Kafka's disks", "ClickHouse's disks"}
    return {row["check"]: f"{row['says']} {row['cure']}" for row in rows if row["check"] not in machine}
