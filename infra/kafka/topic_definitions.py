"""What the topics must look like, and how one that exists differs from that; pure.

`logins` and `logins.quarantine` are never compacted (a compacted log cannot be read again) and carry the
broker's append time (decisions 7 and 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.settings import KafkaSettings

MILLISECONDS_PER_DAY: Final = 86_400_000
# Kafka's own default: 1 MiB and the overhead of a batch.
MAX_MESSAGE_BYTES: Final = 1_048_588
# A quarantined event travels with its origin and may itself fill a whole record of `logins`.
MAX_QUARANTINE_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class TopicDefinition:
    """A topic as it must be: `config` by Kafka's names, values as Kafka prints them."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


@dataclass(frozen=True)
class ActualTopic:
    """A topic as it is, as far as it is compared: `replication` is that of its worst partition."""

    partitions: int
    replication: int
    config: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it must be, and how to mend it."""

    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.what}: {self.cure}"


def definitions(kafka: KafkaSettings) -> tuple[TopicDefinition, TopicDefinition]:
    """`logins` and `logins.quarantine` by the settings."""
    # An acknowledged record must be on two brokers; with fewer than three replicas that would stop writing
    # whenever one broker rests.
    in_sync = {"min.insync.replicas": "2"} if kafka.replication >= 3 else {}

    def topic(name: str, max_bytes: int) -> TopicDefinition:
        return TopicDefinition(
            name, kafka.partitions, kafka.replication,
            {
                "cleanup.policy": "delete",
                "max.message.bytes": str(max_bytes),
                "message.timestamp.type": "LogAppendTime",
                "retention.bytes": "-1",
                "retention.ms": str(kafka.retention_days * MILLISECONDS_PER_DAY),
                **in_sync,
            },
        )  # fmt: skip

    return topic(kafka.topic, MAX_MESSAGE_BYTES), topic(kafka.quarantine_topic, MAX_QUARANTINE_BYTES)


def differences(wanted: TopicDefinition, actual: ActualTopic, bootstrap: str) -> list[Difference]:
    """What to mend before the topic may be used; more partitions or replicas than asked for are as good."""
    found = []
    for key, value in wanted.config.items():
        present = actual.config.get(key, "(unknown)")
        if present != value:
            found.append(
                Difference(
                    f"topic {wanted.name} has {key}={present} but needs {value}",
                    _setting_hint(key, present)
                    + f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --topic {wanted.name} "
                    f"--add-config {key}={value}",
                )
            )
    if actual.partitions < wanted.partitions:
        found.append(
            Difference(
                f"topic {wanted.name} has {actual.partitions} partitions but ROLLCALL_KAFKA_PARTITIONS is "
                f"{wanted.partitions}",
                "`rollcall migrate` adds them (never by hand: it first stores which catalogue version and close "
                f"number hold from their start), or set ROLLCALL_KAFKA_PARTITIONS={actual.partitions}",
            )
        )
    if actual.replication < wanted.replication:
        found.append(
            Difference(
                f"topic {wanted.name} has partitions with {actual.replication} replicas but "
                f"ROLLCALL_KAFKA_REPLICATION is {wanted.replication}",
                f"add replicas with kafka-reassign-partitions.sh --bootstrap-server {bootstrap}, "
                f"or set ROLLCALL_KAFKA_REPLICATION={actual.replication}",
            )
        )
    return found


def _setting_hint(key: str, actual: str) -> str:
    if key != "retention.ms":
        return ""
    days = int(actual) / MILLISECONDS_PER_DAY if actual.isdigit() else 0
    if days < 32 or days != int(days):
        return ""
    return f"set ROLLCALL_KAFKA_RETENTION_DAYS={int(days)} to keep it, or "
