"""`up`, `down` and `status` on a home and ports of the test's own, with the real Kafka and the real engine."""

from __future__ import annotations

import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.clickhouse.client import connect
from infra.errors import ConfigurationError, RollcallError
from infra.kafka.connection import kafka_python_options
from infra.kafka.topics import describe, ensure_topics
from infra.local import stack
from infra.local.ports import free_port, is_free
from infra.local.stack import ServiceStatus
from infra.waiting import wait_until
from schemas.settings import ClickHouseSettings, KafkaSettings, LocalSettings, Settings


def settings_for(home: Path) -> Settings:
    kafka, clickhouse = free_port(), free_port()
    return Settings(
        home=home,
        local=LocalSettings(kafka_port=kafka, clickhouse_port=clickhouse),
        kafka=KafkaSettings(bootstrap=f"127.0.0.1:{kafka}"),
        clickhouse=ClickHouseSettings(url=f"http://127.0.0.1:{clickhouse}"),  # type: ignore[arg-type]
    )


def quiet(_: str) -> None:
    pass


def pids(settings: Settings) -> dict[str, int | None]:
    return {service.name: service.pid for service in stack.status(settings)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    # A home as people have them: with a blank and letters beyond ASCII.
    made = settings_for(tmp_path_factory.mktemp("stack") / "Zürich büro, 東京")
    try:
        stack.up(made, quiet)
        yield made
    finally:
        stack.down(made, quiet)


def test_up_leaves_both_answering(settings: Settings) -> None:
    services = stack.status(settings)
    assert [service.name for service in services] == ["Kafka", "ClickHouse"]
    for service in services:
        assert service.answering
        assert service.pid is not None
        assert service.data.is_dir()
        assert service.log.is_file()
        assert service.version is not None


def test_up_again_starts_nothing(settings: Settings) -> None:
    before = pids(settings)
    stack.up(settings, quiet)
    assert pids(settings) == before


def test_two_at_once_start_one_stack(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "home")
    try:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(stack.up, settings, quiet) for _ in range(2)]:
                done.result()
        assert all(service.answering for service in stack.status(settings))
    finally:
        stack.down(settings, quiet)
    assert is_free(settings.local.kafka_port), "a second broker is left"
    assert is_free(settings.local.clickhouse_port), "a second engine is left"


def test_killed_servers_come_back_with_their_data(settings: Settings) -> None:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    ensure_topics(settings, quiet)
    before, topic = pids(settings), describe(settings)
    producer = KafkaProducer(**kafka_python_options(settings.kafka), acks="all")
    sent = {f"record {number}".encode() for number in range(100)}
    for value in sent:
        producer.send(settings.kafka.topic, value)
    producer.flush(timeout=20)
    producer.close()
    with connect(settings, database="") as client:
        client.command("CREATE DATABASE kept")
        client.command("CREATE TABLE kept.t (n UInt32) ENGINE = MergeTree ORDER BY n")
        client.command("INSERT INTO kept.t SELECT number FROM numbers(1000)")

    for pid in before.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: set(pids(settings).values()) == {None}, 10)
    stack.up(settings, quiet)

    after = pids(settings)
    assert all(after[name] not in (None, before[name]) for name in before)
    assert describe(settings) == topic
    consumer = KafkaConsumer(**kafka_python_options(settings.kafka), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(settings.kafka.topic, n) for n in range(topic.partitions)])
    read: set[bytes] = set()

    def all_read() -> bool:
        for records in consumer.poll(timeout_ms=200).values():
            read.update(record.value for record in records)
        return len(read) >= len(sent)

    assert wait_until(all_read, 20)
    consumer.close()
    assert read == sent
    with connect(settings, database="") as client:
        assert client.command("SELECT count() FROM kept.t") == 1000


def test_one_killed_server_comes_back_and_the_other_stays(settings: Settings) -> None:
    before = pids(settings)
    assert before["Kafka"] is not None
    os.kill(before["Kafka"], signal.SIGKILL)
    assert wait_until(lambda: pids(settings)["Kafka"] is None, 10)
    stack.up(settings, quiet)
    after = pids(settings)
    assert after["ClickHouse"] == before["ClickHouse"]
    assert after["Kafka"] not in (None, before["Kafka"])


@pytest.mark.parametrize("service", ["kafka", "clickhouse"])
def test_a_taken_port_is_named_before_anything_starts(service: str, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    port = getattr(settings.local, f"{service}_port")
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", port))
        foreign.listen()
        with pytest.raises(ConfigurationError, match=rf"{port}.*ROLLCALL_LOCAL_{service.upper()}_PORT"):
            stack.up(settings, quiet)
    assert set(pids(settings).values()) == {None}


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = settings_for(tmp_path / "file" / "home")
    with pytest.raises(ConfigurationError, match=r"home .*/file/home cannot be written.*ROLLCALL_HOME"):
        stack.up(settings, quiet)


def test_a_crash_at_start_is_told_with_the_logs_last_words(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    data = tmp_path / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=not-this-one\nnode.id=77\n")
    try:
        with pytest.raises(RollcallError, match=r"Kafka ended while it started.*kafka\.log") as caught:
            stack.up(settings, quiet)
        assert "node" in str(caught.value).split("ends with:")[1]
        kafka, clickhouse = stack.status(settings)
        assert (kafka.pid, clickhouse.answering) == (None, True)
    finally:
        stack.down(settings, quiet)


def test_both_listen_on_loopback_only(settings: Settings) -> None:
    listening = {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line}
    listening |= {line.split()[1] for line in Path("/proc/net/tcp6").read_text().splitlines()[1:] if " 0A " in line}
    for port in (settings.local.kafka_port, settings.local.clickhouse_port):
        addresses = {entry.split(":")[0] for entry in listening if entry.endswith(f":{port:04X}")}
        assert addresses
        # Java opens an IPv6 socket for the IPv4 loopback address.
        assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}


def test_down_ends_both_and_keeps_the_data(settings: Settings) -> None:
    ensure_topics(settings, quiet)
    topic = describe(settings)
    told: list[str] = []
    stack.down(settings, told.append)
    assert told == ["Kafka stopped", "ClickHouse stopped"]
    assert [s.pid for s in stack.status(settings)] == [None, None]
    assert is_free(settings.local.kafka_port)
    assert is_free(settings.local.clickhouse_port)
    stack.down(settings, told.append)
    assert told[2:] == ["Kafka was not running", "ClickHouse was not running"]
    key = (settings.secrets / "pseudonym.key").read_text()
    stack.up(settings, quiet)
    assert describe(settings) == topic
    assert (settings.secrets / "pseudonym.key").read_text() == key


def test_down_and_status_without_a_home(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "never")
    stack.down(settings, quiet)
    services: list[ServiceStatus] = stack.status(settings)
    assert [(s.pid, s.answering) for s in services] == [(None, False), (None, False)]
    assert not (tmp_path / "never").exists()


def test_the_accounts_are_those_of_the_secrets(settings: Settings) -> None:
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{settings.clickhouse.url}?query=SELECT%201", timeout=5)
    with connect(settings, database="") as client:
        assert client.command("SELECT 1") == 1
