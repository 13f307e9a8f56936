"""Who is in a consumer group."""

from __future__ import annotations

import time
from typing import Final

from infra.errors import OutOfReach
from infra.kafka.connection import admin_client, kafka_python_options
from schemas.settings import KafkaSettings

PATIENCE_SECONDS: Final = 20.0


def members(kafka: KafkaSettings, group: str) -> int:
    """How many there are now; none where the group is not known. Raises OutOfReach."""
    from kafka.errors import (
        CoordinatorLoadInProgressError,
        CoordinatorNotAvailableError,
        GroupIdNotFoundError,
        NotCoordinatorError,
    )

    with admin_client(kafka_python_options(kafka)) as admin:
        begun = time.monotonic()
        while True:
            try:
                return len(admin.describe_groups([group])[group]["members"])
            except GroupIdNotFoundError:
                return 0
            except (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError) as error:
                # The group moves to another broker, or the cluster makes its first group's topic.
                if time.monotonic() - begun > PATIENCE_SECONDS:
                    raise OutOfReach(
                        f"Kafka at {kafka.bootstrap} cannot say who is in group {group} ({type(error).__name__}): see "
                        f"the brokers, then run the command again"
                    ) from None
                time.sleep(0.2)
