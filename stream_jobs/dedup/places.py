"""What holds at a place in the log: the catalogue's version and the greatest close before it, by partition.

A worker may start anywhere in a partition; what stands before that place was stored by whoever read it (decision 8).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from infra.errors import ConfigurationError
from schemas.control import Kind

START = -1
"""The offset of what holds from a partition's start on."""


class Place(NamedTuple):
    version: int
    close: int


class Places:
    """The control records of one topic, as far as they are stored. Call `forget` after a rebalance."""

    def __init__(self, client: Client, topic_id: str) -> None:
        self._client, self._topic_id = client, topic_id
        self._partitions: dict[int, dict[tuple[Kind, int], int]] = {}

    def at(self, partition: int, offset: int) -> Place:
        """What holds for the record at `offset`. Raises ConfigurationError when the partition's start is unknown."""
        found = self._partitions.get(partition)
        if found is None:
            found = self._partitions[partition] = self._load(partition)
        held: dict[Any, int] = {}
        for (kind, number), place in found.items():
            if place < offset:
                held[kind] = max(held.get(kind, 0), number)
        if "catalogue" not in held or "close" not in held:
            raise ConfigurationError(
                f"partition {partition} is not known to Rollcall (topic id {self._topic_id}): what holds from its "
                f"start is not stored. Run `rollcall migrate`, which alone may add partitions"
            )
        return Place(held["catalogue"], held["close"])

    def learn(self, partition: int, kind: Kind, number: int, offset: int) -> None:
        """A control record that is stored now; of two with the same number the first one counts."""
        found = self._partitions.get(partition)
        if found is not None:
            found[kind, number] = min(offset, found.get((kind, number), offset))

    def forget(self) -> None:
        """Others may have read on in the meantime."""
        self._partitions.clear()

    def _load(self, partition: int) -> dict[tuple[Kind, int], int]:
        rows = self._client.query(
            "SELECT kind, number, min(offset) FROM control_places "
            "WHERE topic_id = {topic:String} AND partition = {partition:UInt32} GROUP BY kind, number",
            parameters={"topic": self._topic_id, "partition": partition},
        ).result_rows
        return {(kind, number): offset for kind, number, offset in rows}
