"""Who is in a consumer group."""

from __future__ import annotations

from infra.kafka.connection import admin_client, kafka_python_options
from schemas.settings import KafkaSettings


def members(kafka: KafkaSettings, group: str) -> int:
    """How many there are now; none where the group is not known. Raises OutOfReach."""
    from kafka.errors import GroupIdNotFoundError

    with admin_client(kafka_python_options(kafka)) as admin:
        try:
            return len(admin.describe_groups([group])[group]["members"])
        except GroupIdNotFoundError:
            return 0
