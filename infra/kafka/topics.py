"""The cluster's topics: created, verified, grown, described.

A topic that differs is never altered behind its owner's back: each difference is named with its cure. The one
thing that grows is the number of partitions, and `migrate` alone adds them, after it has stored what holds
from a new one's start (decision 8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from infra.errors import CheckFailed, RollcallError
from infra.kafka.connection import admin_client, kafka_python_options
from infra.kafka.topic_definitions import ActualTopic, TopicDefinition, definitions, differences
from infra.waiting import wait_until
from schemas.settings import KafkaSettings, Settings

TOPIC_SECONDS: Final = 10.0


@dataclass(frozen=True)
class TopicFacts:
    """What a seal keeps of a topic. `topic_id` is Kafka's UUID in the usual hex form: a topic made anew has another."""

    topic_id: str
    partitions: int
    cluster_id: str
    config: dict[str, str]


def ensure_topics(settings: Settings, tell: Callable[[str], None]) -> None:
    """Creates the topics that are missing and verifies those that are there. Safe to repeat.

    Raises CheckFailed with every difference (too few partitions among them: see `add_partitions`), OutOfReach
    without a broker, RollcallError when the cluster refuses (replication beyond its brokers, for one).
    """
    with admin_client(kafka_python_options(settings.kafka)) as client:
        for wanted in definitions(settings.kafka):
            if _described(client, wanted.name) is None and _create(client, wanted):
                tell(f"topic {wanted.name} created with {wanted.partitions} partitions")
        _verify(client, settings.kafka)


def check_topics(settings: Settings) -> None:
    """Verifies both topics and changes nothing. Raises CheckFailed (missing or different) or OutOfReach."""
    with admin_client(kafka_python_options(settings.kafka)) as client:
        _verify(client, settings.kafka)


def too_few_partitions(settings: Settings) -> dict[str, int]:
    """The topics that `migrate` has to grow, each with the partitions that it has now; missing topics are not."""
    with admin_client(kafka_python_options(settings.kafka)) as client:
        counts = {wanted.name: _partitions(client, wanted.name) for wanted in definitions(settings.kafka)}
    return {name: count for name, count in counts.items() if 0 < count < settings.kafka.partitions}


def add_partitions(settings: Settings, topic: str, count: int) -> None:
    """Grows the topic to `count` partitions in all; the caller has stored what holds from their start.

    Returns when every partition has a leader; nothing happens when it has so many already. Raises CheckFailed
    when there is no such topic, or OutOfReach.
    """
    with admin_client(kafka_python_options(settings.kafka)) as client:
        present = _partitions(client, topic)
        if present == 0:
            raise CheckFailed(_missing(topic, settings.kafka))
        if present < count:
            client.create_partitions({topic: count})
        _await_leaders(client, topic, count)


def describe(settings: Settings, topic: str | None = None) -> TopicFacts:
    """The topic (default: `logins`) as it is now. Raises CheckFailed when there is none, or OutOfReach."""
    name = settings.kafka.topic if topic is None else topic
    with admin_client(kafka_python_options(settings.kafka)) as client:
        found = _described(client, name)
        if found is None:
            raise CheckFailed(_missing(name, settings.kafka))
        return TopicFacts(
            topic_id=str(found["topic_id"]),
            partitions=len(found["partitions"]),
            cluster_id=str(client.describe_cluster()["cluster_id"]),
            config=_config(client, name),
        )


def _verify(client: Any, kafka: KafkaSettings) -> None:
    faults: list[str] = []
    for wanted in definitions(kafka):
        found = _described(client, wanted.name)
        if found is None:
            faults.append(_missing(wanted.name, kafka))
            continue
        actual = ActualTopic(
            partitions=len(found["partitions"]),
            replication=min(len(partition["replica_nodes"]) for partition in found["partitions"]),
            config=_config(client, wanted.name),
        )
        faults += map(str, differences(wanted, actual, kafka.bootstrap))
    if faults:
        raise CheckFailed("\n".join(faults))


def _missing(topic: str, kafka: KafkaSettings) -> str:
    return f"there is no topic {topic} on Kafka at {kafka.bootstrap}: `rollcall migrate` creates it"


def _create(client: Any, wanted: TopicDefinition) -> bool:
    """False: another `migrate` was faster, which is as good."""
    from kafka import errors as kafka_errors
    from kafka.admin import NewTopic

    try:
        client.create_topics(
            [NewTopic(wanted.name, wanted.partitions, wanted.replication, topic_configs=wanted.config)]
        )
    except kafka_errors.TopicAlreadyExistsError:
        _await_leaders(client, wanted.name, 1)  # it exists, but may not be described yet
        return False
    except kafka_errors.InvalidReplicationFactorError:
        raise RollcallError(
            f"topic {wanted.name} cannot be created: the cluster has fewer than {wanted.replication} brokers; "
            "add brokers, or lower ROLLCALL_KAFKA_REPLICATION"
        ) from None
    _await_leaders(client, wanted.name, wanted.partitions)
    return True


def _await_leaders(client: Any, topic: str, count: int) -> None:
    def ready() -> bool:
        found = _described(client, topic)
        return (
            found is not None
            and len(found["partitions"]) >= count
            and all(p["error_code"] == 0 and p["leader_id"] >= 0 for p in found["partitions"])
        )

    if not wait_until(ready, TOPIC_SECONDS):
        raise RollcallError(
            f"topic {topic} has no leader for each of its {count} partitions after {TOPIC_SECONDS:.0f} s: look at "
            "the brokers, then run the command again"
        )


def _partitions(client: Any, topic: str) -> int:
    found = _described(client, topic)
    return 0 if found is None else len(found["partitions"])


def _described(client: Any, topic: str) -> dict[str, Any] | None:
    """Kafka's metadata of one topic, its id included (from Kafka 2.8 on); None when there is no such topic."""
    from kafka import errors as kafka_errors

    [found] = client.describe_topics([topic])
    error = kafka_errors.for_code(found["error_code"])
    if error is kafka_errors.UnknownTopicOrPartitionError:
        return None
    if error is not kafka_errors.NoError:
        raise error(f"topic {topic}")
    return dict(found)


def _config(client: Any, topic: str) -> dict[str, str]:
    """Every setting in force for the topic, the cluster's defaults included."""
    from kafka.admin import ConfigResource, ConfigResourceType

    found = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    return {name: str(entry["value"]) for name, entry in found["topic"][topic].items()}
