"""The producer against real Kafka: what it says was sent is in the log, and what is not, it does not say."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.record import util as record_util

from examples.brokers import last_month_and_this, simulate
from infra.errors import CheckFailed, ConfigurationError, OutOfReach
from infra.kafka.connection import admin_client, kafka_python_options
from infra.kafka.topics import ensure_topics
from infra.local.kafka import KafkaNode
from infra.local.ports import LOOPBACK, free_port
from infra.local.processes import BackgroundProcess
from infra.waiting import wait_until
from producers.client import Deliveries, Delivery, LoginProducer
from producers.packing import partition_of
from producers.push import push
from producers.sources.csv import parse_columns
from producers.sources.source import SourceOptions
from schemas.calendar import moment_of
from schemas.event import BATCH, STRUCTURED, read_event
from schemas.quarantine import Refusal
from schemas.settings import KafkaSettings, Settings
from schemas.source_report import REPORT_TYPE

DATA = Path(__file__).parents[2] / "examples" / "data"


def event(number: int, subject: str = "user", pad: str = "") -> bytes:
    return (
        f'{{"specversion":"1.0","id":"{number}","source":"/b","type":"rollcall.login.v1","time":"2026-10-31T23:59:59Z",'
        f'"subject":"{subject}{number % 97}","data":{{"tenant":"t","sku":"S"}},"pad":"{pad}"}}'
    ).encode()


def records(kafka: KafkaSettings) -> list[Any]:
    """Every record of the topic that holds events, partition by partition."""
    consumer = KafkaConsumer(**kafka_python_options(kafka), auto_offset_reset="earliest", fetch_max_bytes=64 << 20)
    try:
        places = [TopicPartition(kafka.topic, number) for number in sorted(consumer.partitions_for_topic(kafka.topic))]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        found: list[Any] = []

        def at_the_end() -> bool:
            for batch in consumer.poll(timeout_ms=500).values():
                found.extend(record for record in batch if ("content-type", REPORT_TYPE) not in record.headers)
            return all(consumer.position(place) >= end for place, end in ends.items())

        assert wait_until(at_the_end, 60.0, pause=0)
        return found
    finally:
        consumer.close()


def events_of(record: Any) -> list[Any]:
    value = json.loads(record.value)
    return value if dict(record.headers)["content-type"] == BATCH else [value]


@pytest.fixture
def kafka(make_settings: Any) -> KafkaSettings:
    settings: Settings = make_settings(None)
    ensure_topics(settings, print)
    return settings.kafka


def test_crc32c_is_computed_in_c() -> None:
    assert record_util.crc32c_c is not None
    assert record_util.calc_crc32c.__defaults__ == (record_util.crc32c_c,), "and that one is used"
    assert record_util.calc_crc32c(b"123456789") == 0xE3069283, "the published check value"


@pytest.mark.parametrize("pack", [1, 100])
def test_what_is_sent_is_in_the_log_once_and_to_the_byte(kafka: KafkaSettings, pack: int) -> None:
    sent = [event(number, "größe " if number % 2 else "user") for number in range(5000)]
    deliveries: list[Delivery] = []
    with LoginProducer(kafka, pack=pack, on_delivery=deliveries.append) as producer:
        for raw in sent:
            producer.send_bytes(raw, json.loads(raw)["subject"])
        producer.flush()
        assert producer.deliveries() == Deliveries(5000, 5000, 0)
    found = records(kafka)
    assert {(d.partition, d.offset, d.events) for d in deliveries} == {
        (r.partition, r.offset, len(events_of(r))) for r in found
    }
    got: list[bytes] = []
    for record in found:
        inner = record.value[1:-1] if dict(record.headers)["content-type"] == BATCH else record.value
        got += inner.replace(b"},{\"specversion\"", b"}\n{\"specversion\"").split(b"\n")
        assert record.key is None
        for value in events_of(record):
            assert partition_of(value["subject"], kafka.partitions) == record.partition
    assert sorted(got) == sorted(sent)
    assert len({record.partition for record in found}) == kafka.partitions
    assert {r.timestamp_type for r in found} == {1}, "LogAppendTime"
    if pack == 100:
        assert len(found) < 100


def test_an_event_of_the_contract(kafka: KafkaSettings) -> None:
    with LoginProducer(kafka) as producer:
        producer.send(read_event(event(1)))
    [record] = records(kafka)
    assert read_event(record.value) == read_event(event(1))
    assert list(record.headers) == [("content-type", STRUCTURED)]


def test_an_event_reaches_the_log_by_its_age_alone(kafka: KafkaSettings) -> None:
    with LoginProducer(kafka, linger=0.05) as producer:
        producer.send_bytes(event(1), "user1")
        assert wait_until(lambda: producer.deliveries().acknowledged == 1, 10.0)


def test_the_largest_event_is_taken_and_a_larger_one_refused(kafka: KafkaSettings) -> None:
    with LoginProducer(kafka) as producer:
        room = producer.max_event_bytes - len(event(1))
        producer.send_bytes(event(1, pad="x" * room), "user1")
        with pytest.raises(Refusal, match="too_large"):
            producer.send_bytes(event(1, pad="x" * (room + 1)), "user1")
        producer.flush()
        assert producer.deliveries() == Deliveries(1, 1, 0)


def test_a_topic_that_takes_less_is_asked_for_its_limit(kafka: KafkaSettings) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    small = ConfigResource(ConfigResourceType.TOPIC, kafka.topic, {"max.message.bytes": "20000"})
    with admin_client(kafka_python_options(kafka)) as admin:
        admin.alter_configs([small])
    with LoginProducer(kafka) as producer:
        assert producer.max_event_bytes < 20_000
        for number in range(1000):
            producer.send_bytes(event(number), f"user{number}")
        producer.send_bytes(event(1, pad="x" * (producer.max_event_bytes - len(event(1)))), "user1")
        producer.flush()
        assert producer.deliveries().acknowledged == 1001


def test_a_topic_that_became_stricter_meanwhile(kafka: KafkaSettings) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    small = ConfigResource(ConfigResourceType.TOPIC, kafka.topic, {"max.message.bytes": "2000"})
    with LoginProducer(kafka) as producer:
        with admin_client(kafka_python_options(kafka)) as admin:
            admin.alter_configs([small])
        producer.send_bytes(event(1, pad="x" * 3000), "user1")
        with pytest.raises(ConfigurationError, match=r"refused 1 events.*max\.message\.bytes"):
            producer.flush()
        assert producer.deliveries() == Deliveries(1, 0, 1)


def test_several_threads(kafka: KafkaSettings) -> None:
    with LoginProducer(kafka, buffer_bytes=100_000) as producer:
        def work(base: int) -> None:
            for number in range(base, base + 2000):
                producer.send_bytes(event(number), f"user{number % 97}")

        threads = [threading.Thread(target=work, args=(base,)) for base in (0, 2000, 4000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    ids = sorted(int(value["id"]) for record in records(kafka) for value in events_of(record))
    assert ids == list(range(6000))


def test_no_broker() -> None:
    with pytest.raises(OutOfReach, match=r"127\.0\.0\.1.*`rollcall up`"):
        LoginProducer(KafkaSettings(bootstrap=f"{LOOPBACK}:{free_port()}"), connect_seconds=1.0)


def test_no_topic(stack: Settings) -> None:
    with pytest.raises(CheckFailed, match=r"no topic nowhere .*`rollcall migrate`"):
        LoginProducer(stack.kafka.model_copy(update={"topic": "nowhere"}))


def test_pushing_the_real_data_sets(kafka: KafkaSettings, tmp_path: Path) -> None:
    truth = json.loads((DATA / "irc_ubuntu_activity" / "ground_truth.json").read_text())
    columns = parse_columns("id=event_id,time=timestamp,subject=user")
    with LoginProducer(kafka) as producer:
        report = push(
            [str(DATA / "irc_ubuntu_activity" / "events.csv.gz")],
            SourceOptions("csv", columns, tenant="ubuntu-channel", sku="IRC-CHANNEL"),
            producer, rejects=tmp_path, stdin=io.BytesIO(),
        )
    assert (report.sent, report.refused, report.complete) == (truth["events_counted"], {}, True)
    users: dict[str, set[str]] = {}
    for record in records(kafka):
        for value in events_of(record):
            users.setdefault(value["time"][:7], set()).add(value["subject"])
    assert {month: len(names) for month, names in users.items()} == {
        row["month"]: row["users_exact"] for row in truth["per_month"]
    }


@pytest.fixture
def node(tmp_path: Path) -> Iterator[KafkaNode]:
    """A broker that a test may kill."""
    process = BackgroundProcess("Kafka", tmp_path / "kafka.json", tmp_path / "kafka.log", tmp_path / "kafka")
    node = KafkaNode(tmp_path / "kafka", free_port(), process)
    node.start(print)
    try:
        assert wait_until(node.answers, 60.0), process.tail()
        yield node
    finally:
        process.stop(10.0)


def kill(node: KafkaNode) -> None:
    pid = node.process.running()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_a_broker_that_is_killed_in_the_middle(node: KafkaNode) -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap=node.address))
    ensure_topics(settings, print)
    begun = moment_of(1_790_000_000_000_000)
    events = simulate(1, last_month_and_this(begun), begun, users=1000, logins=20_000).events
    deliveries: list[Delivery] = []
    producer = LoginProducer(
        settings.kafka, buffer_bytes=500_000, send_seconds=2.0, delivery_seconds=4.0, on_delivery=deliveries.append
    )
    for raw in events[:10_000]:
        producer.send_bytes(raw, json.loads(raw)["subject"])
    kill(node)
    with pytest.raises(OutOfReach) as refused:  # noqa: PT012  the buffer fills at an event that nobody can foretell
        for raw in events[10_000:]:
            producer.send_bytes(raw, json.loads(raw)["subject"])
    assert "took nothing for 2 seconds" in str(refused.value)
    with pytest.raises(OutOfReach) as lost:
        producer.close()
    numbers = producer.deliveries()
    assert numbers.waiting == 0
    assert 0 < numbers.failed < numbers.taken < len(events)
    assert f"did not acknowledge {numbers.failed:,} events" in str(lost.value)

    assert wait_until(lambda: node.process.running() is None, 10.0)
    node.start(print)
    assert wait_until(node.answers, 60.0), node.process.tail()
    found = {(r.partition, r.offset): len(events_of(r)) for r in records(settings.kafka)}
    acknowledged = [d for d in deliveries if d.error is None]
    assert sum(d.events for d in acknowledged) == numbers.acknowledged
    assert [d for d in acknowledged if found.get((d.partition, d.offset or 0)) != d.events] == []

    with LoginProducer(settings.kafka) as again:
        for raw in events:
            again.send_bytes(raw, json.loads(raw)["subject"])
    in_log = {json.dumps(value) for record in records(settings.kafka) for value in events_of(record)}
    assert in_log == {json.dumps(json.loads(raw)) for raw in events}


def test_a_broker_that_comes_back_in_time(node: KafkaNode) -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap=node.address))
    ensure_topics(settings, print)
    with LoginProducer(settings.kafka, delivery_seconds=60.0) as producer:
        for number in range(1000):
            producer.send_bytes(event(number), f"user{number % 97}")
        producer.flush()
        kill(node)
        assert wait_until(lambda: node.process.running() is None, 10.0)
        for number in range(1000, 2000):
            producer.send_bytes(event(number), f"user{number % 97}")
        with pytest.raises(OutOfReach, match="did not acknowledge 1,000 events"):
            producer.flush(0.5)
        node.start(print)
        producer.flush()
        assert producer.deliveries() == Deliveries(2000, 2000, 0)
    ids = [int(value["id"]) for record in records(settings.kafka) for value in events_of(record)]
    assert sorted(ids) == list(range(2000)), "idempotent: no repeat"
