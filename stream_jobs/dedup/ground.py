"""What the dedup job stands on, found and checked before it reads anything: servers, schema, topics, key, table."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect, explained
from infra.clickhouse.migrate import check_schema
from infra.generation import Generation, in_force
from infra.kafka.topics import check_topics, describe
from infra.keys import check_key
from infra.secrets import pseudonym_key
from schemas.settings import Settings


@dataclass(frozen=True)
class Ground:
    client: Client
    topic_id: str
    partitions: int
    key: bytes
    generation: Generation
    """In force when it was looked for."""


def find_ground(settings: Settings) -> Ground:
    """Raises RollcallError with the cure when something is not as it must be."""
    client, key = connect(settings), pseudonym_key(settings)
    with explained(settings.clickhouse):
        check_schema(client, settings.clickhouse)
        check_key(client, key)
        generation = in_force(client)
    check_topics(settings)
    facts = describe(settings)
    return Ground(client, facts.topic_id, facts.partitions, key, generation)
