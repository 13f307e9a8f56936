"""Sources that tripped the cap on their bad share, and lifting it (decision 10).

A source's trips and lifts are numbered; the newest one holds. A lift lets pass what stands in the log when it is
given, which is told by offsets, not by a clock; what comes after is judged anew.
"""

from __future__ import annotations

from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, OutOfReach
from infra.kafka.connection import addresses, kafka_python_options
from infra.kafka.topics import describe
from schemas.settings import Settings
from stream_jobs.dedup.trips import standing


class Tripped(NamedTuple):
    """A source for which no worker goes on; `refused` of its `events` would have been set aside."""

    source: str
    number: int
    events: int
    refused: int


def tripped(client: Client) -> list[Tripped]:
    """The sources that wait for a lift. Raises the driver's errors."""
    return [Tripped(s.source, s.number, s.events, s.refused) for s in standing(client) if s.action == "trip"]


def lift(settings: Settings, client: Client, source: str) -> Tripped:
    """Lets pass what `source` has in the log now; returns the trip that is over.

    The workers start again after it. Raises CheckFailed when the source did not trip, OutOfReach without a server.
    """
    with explained(settings.clickhouse):
        waiting = {each.source: each for each in tripped(client)}
        if source not in waiting:
            others = ", ".join(repr(each) for each in waiting)
            raise CheckFailed(
                f"source {source!r} did not trip the cap, so there is nothing to lift; "
                + (f"these did: {others}" if others else "no source did")
            )
        trip = waiting[source]
        client.insert(
            "quarantine_caps",
            [(source, trip.number + 1, "lift", trip.events, trip.refused, _ends(settings))],
            ("source", "number", "action", "events", "refused", "ends"),
        )
    return trip


def _ends(settings: Settings) -> dict[int, int]:
    """The end offset of each partition of `logins`."""
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    partitions = [TopicPartition(settings.kafka.topic, p) for p in range(describe(settings).partitions)]
    try:
        consumer = KafkaConsumer(
            **kafka_python_options(settings.kafka), client_id="rollcall-quarantine", group_id=None,
            enable_auto_commit=False, allow_auto_create_topics=False,
        )  # fmt: skip
        try:
            return {each.partition: end for each, end in consumer.end_offsets(partitions).items()}
        finally:
            consumer.close()
    except (KafkaError, OSError) as error:
        raise OutOfReach(
            f"Kafka at {','.join(addresses(settings.kafka))} does not tell where {settings.kafka.topic} ends "
            f"({type(error).__name__}: {str(error)[:200]}): nothing is lifted; run the command again"
        ) from None
