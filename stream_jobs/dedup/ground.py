"""What the dedup job stands on, found and checked before it reads anything: servers, schema, topics, key, table."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect, explained
from infra.clickhouse.migrate import check_schema
from infra.generation import Generation, in_force
from infra.kafka.topics import check_topics, describe
from infra.keyring import Keys
from infra.keys import check_keys
from infra.secrets import pseudonym_keys
from schemas.settings import Settings


@dataclass(frozen=True)
class Ground:
    client: Client
    topic_id: str
    partitions: int
    keys: Keys
    generation: Generation
    """In force when it was looked for."""


def find_ground(settings: Settings) -> Ground:
    """Raises RollcallError with the cure when something is not as it must be."""
    client, keys = connect(settings), pseudonym_keys(settings)
    with explained(settings.clickhouse):
        check_schema(client, settings.clickhouse)
        check_keys(client, keys)
        generation = in_force(client)
    check_topics(settings)
    facts = describe(settings)
    return Ground(client, facts.topic_id, facts.partitions, keys, generation)
