"""What the topics must look like, and how a difference is told."""

from __future__ import annotations

import pytest

from infra.kafka.topic_definitions import ActualTopic, definitions, differences
from schemas.settings import KafkaSettings

SETTINGS = KafkaSettings(partitions=4, retention_days=400)
LOGINS, QUARANTINE = definitions(SETTINGS)


def _told(actual: ActualTopic) -> list[str]:
    return [str(difference) for difference in differences(LOGINS, actual, "broker:9092")]


def _actual(partitions: int = 4, replication: int = 1, **config: str) -> ActualTopic:
    changed = {key.replace("_", "."): value for key, value in config.items()}
    return ActualTopic(partitions, replication, {**LOGINS.config, "segment.bytes": "1", **changed})


def test_the_log_is_never_compacted_and_dated_by_the_broker() -> None:
    for topic in (LOGINS, QUARANTINE):
        assert topic.config["cleanup.policy"] == "delete"
        assert topic.config["message.timestamp.type"] == "LogAppendTime"
        assert topic.config["retention.ms"] == str(400 * 86_400_000)
        assert topic.config["retention.bytes"] == "-1"
        assert topic.partitions == 4


def test_the_quarantine_takes_what_logins_takes_and_its_origin() -> None:
    assert QUARANTINE.name == "logins.quarantine"
    assert LOGINS.config["max.message.bytes"] == "1048588"
    assert QUARANTINE.config["max.message.bytes"] == str(4 * 1024 * 1024)


@pytest.mark.parametrize(("replication", "in_sync"), [(1, None), (2, None), (3, "2")])
def test_three_replicas_acknowledge_by_two(replication: int, in_sync: str | None) -> None:
    for topic in definitions(KafkaSettings(replication=replication)):
        assert topic.replication == replication
        assert topic.config.get("min.insync.replicas") == in_sync


def test_as_asked_for_or_more_is_fine() -> None:
    assert _told(_actual()) == []
    assert _told(_actual(partitions=9, replication=3)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("cleanup_policy", "compact"), ("cleanup_policy", "compact,delete"),
     ("message_timestamp_type", "CreateTime"), ("max_message_bytes", "2000000"), ("retention_bytes", "1000")],
)  # fmt: skip
def test_a_difference_comes_with_the_command_that_mends_it(key: str, value: str) -> None:
    name = key.replace("_", ".")
    [told] = _told(_actual(**{key: value}))
    assert f"topic logins has {name}={value} but needs {LOGINS.config[name]}" in told
    assert told.endswith(
        f"kafka-configs.sh --bootstrap-server broker:9092 --alter --topic logins --add-config "
        f"{name}={LOGINS.config[name]}"
    )


def test_another_retention_may_also_be_kept_by_the_setting() -> None:
    [told] = _told(_actual(retention_ms=str(500 * 86_400_000)))
    assert "ROLLCALL_KAFKA_RETENTION_DAYS=500" in told
    [told] = _told(_actual(retention_ms=str(7 * 86_400_000)))
    assert "ROLLCALL_KAFKA_RETENTION_DAYS" not in told, "7 days are refused by the settings"


def test_too_few_partitions_are_added_by_migrate_alone() -> None:
    [told] = _told(_actual(partitions=3))
    assert "has 3 partitions but ROLLCALL_KAFKA_PARTITIONS is 4" in told
    assert "`rollcall migrate` adds them" in told


def test_too_few_replicas_are_told() -> None:
    wanted = definitions(KafkaSettings(replication=3))[0]
    actual = ActualTopic(4, 1, wanted.config)
    [told] = differences(wanted, actual, "broker:9092")
    assert "1 replicas but ROLLCALL_KAFKA_REPLICATION is 3" in str(told)


def test_every_difference_is_told_at_once() -> None:
    assert len(_told(_actual(partitions=1, cleanup_policy="compact", message_timestamp_type="CreateTime"))) == 3
