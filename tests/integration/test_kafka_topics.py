"""Topics on a real broker: created, refused when they differ, grown, described."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from infra.errors import CheckFailed, RollcallError
from infra.kafka.connection import admin_client, aiokafka_options, kafka_python_options
from infra.kafka.topics import add_partitions, check_topics, describe, ensure_topics, too_few_partitions
from schemas.settings import Settings


def quiet(_: str) -> None:
    pass


def changed(settings: Settings, **kafka: Any) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=kafka)})


def test_missing_topics_are_named_then_created_once(stack: Settings) -> None:
    settings = changed(stack, topic="once")
    with pytest.raises(CheckFailed, match=r"no topic once .*\n.*no topic once\.quarantine .*rollcall migrate"):
        check_topics(settings)
    told: list[str] = []
    ensure_topics(settings, told.append)
    assert told == ["topic once created with 4 partitions", "topic once.quarantine created with 4 partitions"]
    first = describe(settings)
    ensure_topics(settings, told.append)
    check_topics(settings)
    assert len(told) == 2
    assert describe(settings) == first
    assert first.partitions == 4
    assert first.config["message.timestamp.type"] == "LogAppendTime"
    assert describe(settings, "once.quarantine").topic_id != first.topic_id
    with pytest.raises(CheckFailed, match="no topic elsewhere"):
        describe(settings, "elsewhere")


def test_a_topic_made_anew_has_another_id(stack: Settings) -> None:
    settings = changed(stack, topic="anew")
    ensure_topics(settings, quiet)
    before = describe(settings)
    with admin_client(kafka_python_options(settings.kafka)) as client:
        client.delete_topics(["anew"])
    ensure_topics(settings, quiet)
    assert describe(settings).topic_id != before.topic_id
    assert describe(settings).cluster_id == before.cluster_id


def test_a_foreign_topic_is_refused_and_left_alone(stack: Settings) -> None:
    from kafka.admin import NewTopic

    settings = changed(stack, topic="foreign")
    with admin_client(kafka_python_options(settings.kafka)) as client:
        client.create_topics([NewTopic("foreign", 4, 1, topic_configs={"cleanup.policy": "compact"})])
    before = describe(settings)
    for check in (check_topics, lambda s: ensure_topics(s, quiet)):
        with pytest.raises(CheckFailed) as caught:
            check(settings)
        for difference in ("cleanup.policy=compact but needs delete", "message.timestamp.type=CreateTime but needs"):
            assert difference in str(caught.value)
    assert describe(settings) == before


def test_partitions_grow_by_request_only(stack: Settings) -> None:
    settings = changed(stack, topic="grown", partitions=2)
    ensure_topics(settings, quiet)
    assert too_few_partitions(settings) == {}
    wider = changed(settings, partitions=5)
    assert too_few_partitions(wider) == {"grown": 2, "grown.quarantine": 2}
    with pytest.raises(CheckFailed, match="2 partitions but ROLLCALL_KAFKA_PARTITIONS is 5"):
        ensure_topics(wider, quiet)
    for topic in too_few_partitions(wider):
        add_partitions(wider, topic, 5)
        add_partitions(wider, topic, 5)
    check_topics(wider)
    check_topics(settings)  # more than asked for is fine
    assert describe(wider).partitions == 5
    with pytest.raises(CheckFailed, match="no topic elsewhere"):
        add_partitions(wider, "elsewhere", 5)


def test_more_replicas_than_brokers_are_refused(stack: Settings) -> None:
    with pytest.raises(RollcallError, match="fewer than 3 brokers.*ROLLCALL_KAFKA_REPLICATION".replace(".*", "[^.]*")):
        ensure_topics(changed(stack, topic="wide", replication=3), quiet)


def test_the_quarantine_takes_what_logins_refuses(stack: Settings) -> None:
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import MessageSizeTooLargeError

    settings = changed(stack, topic="large")
    ensure_topics(settings, quiet)

    async def send() -> None:
        async with AIOKafkaProducer(**aiokafka_options(settings.kafka), max_request_size=8_000_000) as producer:
            with pytest.raises(MessageSizeTooLargeError):
                await producer.send_and_wait("large", b"x" * 2_000_000)
            await producer.send_and_wait("large.quarantine", b"x" * 2_000_000)

    asyncio.run(send())


def test_using_a_topic_does_not_make_it(stack: Settings) -> None:
    from kafka import KafkaConsumer

    consumer = KafkaConsumer("typo", **kafka_python_options(stack.kafka))
    consumer.poll(timeout_ms=1000)
    consumer.close()
    with pytest.raises(CheckFailed, match="no topic typo"):
        describe(stack, "typo")
