"""`rollcall migrate`: brings ClickHouse, Kafka and what joins them to where the other commands can work.

Schema, topics, the key's fingerprint, what holds from each partition's start, the catalogue's first version: in this
order, each step safe to repeat, so a migrate that was interrupted is run again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra import catalogue, erasures
from infra.catalogue_file import catalogue_text
from infra.clickhouse import access
from infra.clickhouse import migrate as schema
from infra.clickhouse.client import connect, explained
from infra.errors import CheckFailed, ConfigurationError
from infra.kafka.control import Written
from infra.kafka.topics import add_partitions, describe, ensure_topics, too_few_partitions
from infra.keys import ensure_keys
from infra.secrets import pseudonym_keys
from schemas.settings import Settings

Tell = Callable[[str], None]

START = -1
"""The offset of what holds from a partition's start on."""


class Numbers(NamedTuple):
    """What holds at the end of the log: the catalogue's version and the greatest close number."""

    version: int
    close: int


def migrate(settings: Settings, tell: Tell = lambda _: None) -> None:
    """Everything that must be there before a worker may start; `tell` gets a line for each thing that was done.

    Raises ConfigurationError (another key, no catalogue file, a faulty one), CheckFailed (a topic that differs, a
    catalogue file that is not the stored version), OutOfReach (a server), each with the cure.
    """
    keys = pseudonym_keys(settings)
    schema.migrate(settings, tell)
    with connect(settings) as client:
        access.grant(settings, client, tell)
        with explained(settings.clickhouse):
            if ensure_keys(client, keys):
                tell("pseudonym key: its fingerprint is stored; another key will be refused from now on")
            if swept := erasures.sweep(client, settings.clickhouse):
                tell(f"names: {swept} that were stored again while they were being erased are taken out")
        grow_topics(settings, client, tell)
        first_catalogue(settings, client, tell)


def grow_topics(settings: Settings, client: Client, tell: Tell) -> None:
    """Creates and verifies the topics; no partition of `logins` is without a stored start.

    What holds from a partition's start is stored before the partition exists, so that no record of it can be read
    without (decision 8). A new topic's id is known only once it is made: nobody reads it before this returns, since
    the dedup job refuses a partition whose start it does not know.
    """
    topic, wanted = settings.kafka.topic, settings.kafka.partitions
    for name, count in too_few_partitions(settings).items():
        if name == topic:
            place_starts(settings, client, range(wanted), tell)
        add_partitions(settings, name, wanted)
        tell(f"topic {name} grew from {count} to {wanted} partitions")
    ensure_topics(settings, tell)
    place_starts(settings, client, range(describe(settings).partitions), tell)


def place_starts(settings: Settings, client: Client, partitions: range, tell: Tell) -> None:
    """Stores what holds from the start of each partition of which nothing is known yet."""
    topic_id = describe(settings).topic_id
    with explained(settings.clickhouse):
        rows = client.query("SELECT DISTINCT topic_id, kind, partition FROM control_places").result_rows
        stored = None
        while stored != (numbers := numbers_in_force(client)):  # until no close or apply came between
            for kind, number in (("catalogue", numbers.version), ("close", numbers.close)):
                known = {p for found, k, p in rows if found == topic_id and k == kind}
                starts: Written = {p: (START, 0) for p in partitions if p not in known}
                catalogue.store_places(client, topic_id, kind, number, starts)
            stored = numbers
    others = {found for found, _, _ in rows} - {topic_id}
    if others and not any(found == topic_id for found, _, _ in rows):
        tell(
            f"topic {settings.kafka.topic} is another one than before (its id is {topic_id}, it was "
            f"{', '.join(sorted(others))}): it was deleted and made anew. Its log begins with catalogue version "
            f"{numbers.version} and after close {numbers.close}; what the old one held and no worker had stored must "
            f"be pushed again, and no month of before can be rebuilt from it"
        )


def numbers_in_force(client: Client) -> Numbers:
    """The greatest version and close number that anything stored speaks of; 1 and 0 on the very first run."""
    [[version, close]] = client.query(
        "SELECT greatest(1, (SELECT max(version) FROM catalogue_versions)), "
        "greatest((SELECT max(number) FROM close_numbers), "
        "(SELECT max(number) FROM control_places WHERE kind = 'close'))"
    ).result_rows
    return Numbers(int(version), int(close))


def first_catalogue(settings: Settings, client: Client, tell: Tell) -> None:
    """Stores the catalogue's first version when none is; else completes the newest one's control records."""
    path = settings.catalogue
    with explained(settings.clickhouse):
        versions = catalogue.stored_versions(client)
    if not versions:
        text = catalogue_text(settings)
        if text is None:
            raise ConfigurationError(
                f"there is no catalogue: {path.absolute()} does not exist; write one (examples/catalogue.example.yaml "
                f"is a start), or name yours in ROLLCALL_CATALOGUE, then run `rollcall migrate` again"
            )
        catalogue.checked(text, str(path))
        with explained(settings.clickhouse):
            catalogue.store(client, 1, text)
        tell(f"catalogue: {path} is version 1, and holds from the start of the log")
        return
    newest = versions[-1]
    with explained(settings.clickhouse):
        catalogue.store(client, newest.version, newest.yaml)
    if written := catalogue.announce(settings, client, newest.version):
        tell(f"catalogue: version {newest.version} announced in partitions {', '.join(map(str, sorted(written)))}")
    text = catalogue_text(settings)
    if text is not None and catalogue.digest(text) != newest.sha256:
        raise CheckFailed(
            f"everything is migrated, but the catalogue {path} is not the stored version {newest.version}: "
            f"`rollcall catalogue apply {path}` makes it version {newest.version + 1}; to keep what is stored, "
            f"point ROLLCALL_CATALOGUE to that text"
        )
