"""What a producer must know of its topic before it sends: how many partitions, and how large a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from infra.errors import CheckFailed
from infra.kafka.connection import admin_client

DEFAULT_MAX_MESSAGE = 1_048_588
"""Kafka's own default of `max.message.bytes`, taken where an account may not read the topic's."""


@dataclass(frozen=True, slots=True)
class TopicLimits:
    partitions: int
    max_message_bytes: int


def topic_limits(options: dict[str, Any], topic: str, seconds: float) -> TopicLimits:
    """Asks the cluster, with the options of a kafka-python client.

    Raises OutOfReach when nobody answers in `seconds`, CheckFailed when there is no such topic.
    """
    limit = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": None})
    with admin_client(options, seconds) as admin:
        partitions = admin.describe_topics([topic])[0]["partitions"]
        if not partitions:
            raise CheckFailed(
                f"there is no topic {topic} on Kafka at {','.join(options['bootstrap_servers'])}, or this account may "
                f"not see it: `rollcall migrate` creates it"
            )
        found = admin.describe_configs([limit], config_filter="all").get("topic", {}).get(topic, {})
    largest = found.get("max.message.bytes", {}).get("value") or DEFAULT_MAX_MESSAGE
    return TopicLimits(len(partitions), int(largest))
