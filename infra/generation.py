"""Generations: which table is counted, and which consumer group fills it (decision 8b).

Generation 1 is the table `active_users`, filled by the group `rollcall-g1`. A rebuild that is accepted puts the next
one in force, by one stored row. Everybody asks here: the dedup job, the close, the views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import uuid4

from clickhouse_connect.driver.client import Client

from schemas.settings import KafkaSettings

FIRST_TABLE = "active_users"
PREFIX = f"{FIRST_TABLE}_g"
"""How the tables of later generations, and of rebuilds under way, begin."""

_COLUMNS = (
    "number", "table_name", "month", "catalogue_version", "catalogue_until", "voids", "reason", "actor", "topic_id",
    "offsets",
)  # fmt: skip


@dataclass(frozen=True)
class Generation:
    """One generation of the table, and how the month that it was made for is read. The first has no such month."""

    number: int = 1
    table: str = FIRST_TABLE
    month: date | None = None
    catalogue_version: int = 0
    """By which the month is read up to the offsets `catalogue_until`; 0 and all behind them: as the log says."""
    catalogue_until: Mapping[int, int] = field(default_factory=dict)
    voids: str = "[]"
    """JSON of the month's void rules (`schemas/voids.py`)."""
    reason: str = ""
    actor: str = ""
    topic_id: str = ""
    offsets: Mapping[int, int] = field(default_factory=dict)
    """By partition, where its group begins to read."""

    def group(self, kafka: KafkaSettings) -> str:
        """The consumer group that fills the table."""
        return f"{kafka.group}-g{self.number}"

    def floor(self, topic_id: str) -> Mapping[int, int]:
        """By partition, the offset that its group never begins below: what stands there was read by the rebuild.

        Read again as the log says it would undo the rebuild. A topic that was made anew has no floor.
        """
        return self.offsets if topic_id == self.topic_id else {}


FIRST = Generation()


def in_force(client: Client) -> Generation:
    """The generation that is counted now. Raises the driver's errors."""
    found = _read(client, "")
    return found[-1] if found else FIRST


def number_in_force(client: Client) -> int:
    """Its number alone, for those who look often. Raises the driver's errors."""
    [[number]] = client.query("SELECT max(number) FROM generations").result_rows
    return max(1, int(number))


def generations(client: Client) -> list[Generation]:
    """Every one, in order. Raises the driver's errors."""
    return [FIRST, *_read(client, "")]


def of_month(client: Client, month: date) -> Generation:
    """The newest that was made for this month: it says how the month is read. The first where none was."""
    found = _read(client, "WHERE month = %(month)s", month=month)
    return found[-1] if found else FIRST


def put_in_force(client: Client, generation: Generation) -> bool:
    """Stores the row that puts it in force; False when somebody else has taken its number. Raises the driver's errors.

    Its table must be complete before.
    """
    owner = uuid4()
    if _owners(client, generation.number):  # a replicated table forgets tokens after a while
        return False
    row = [
        generation.number, generation.table, generation.month, generation.catalogue_version,
        dict(generation.catalogue_until), generation.voids, generation.reason, generation.actor, generation.topic_id,
        dict(generation.offsets), owner,
    ]  # fmt: skip
    client.insert(
        "generations", [row], column_names=[*_COLUMNS, "owner"],
        settings={"insert_deduplication_token": f"generation-{generation.number}"},
    )  # fmt: skip
    return _owners(client, generation.number) == [owner]


def _owners(client: Client, number: int) -> list[Any]:
    found = client.query("SELECT owner FROM generations WHERE number = %(n)s", parameters={"n": number})
    return [row[0] for row in found.result_rows]


def _read(client: Client, where: str, **parameters: Any) -> list[Generation]:
    rows = client.query(
        f"SELECT {', '.join(_COLUMNS)} FROM generations {where} ORDER BY number, in_force_at DESC",
        parameters=parameters,
    ).result_rows
    return [Generation(*row) for row in rows]
