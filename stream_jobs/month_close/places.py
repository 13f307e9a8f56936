"""Where the log changes its reading, as the dedup job stored it: the evidence that a close may count.

All of this is pure but `read_places`. Offset -1 means: holds from the partition's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from infra.errors import CheckFailed
from schemas.calendar import epoch_us


@dataclass(frozen=True)
class Place:
    """A control record as the dedup job has read it; where it stands twice, the first one."""

    kind: str
    partition: int
    number: int
    offset: int
    append_ms: int


@dataclass(frozen=True)
class Ground:
    """What close `number` stands on, by partition: its records' offsets and append times, the catalogue there."""

    number: int
    cluster_id: str
    topic_id: str
    offsets: Mapping[int, int]
    append_ms: Mapping[int, int]
    catalogue_versions: Mapping[int, int]
    generation: int = 1
    """Whose group came past the records."""

    @property
    def first_append_ms(self) -> int:
        return min(self.append_ms.values())

    @property
    def catalogue_version(self) -> int:
        """By which SKUs are given to agreements: the greatest in force in any partition.

        Partitions disagree while a `catalogue apply` is writing its records. The greatest then knows all that any
        of them reads by; a SKU that it no longer has is looked up in earlier versions.
        """
        return max(self.catalogue_versions.values())


def read_places(client: Client, topic_id: str, number: int) -> list[Place]:
    """The topic's catalogue places, and those of closes from `number` on."""
    found = client.query(
        "SELECT kind, partition, number, min(offset), min(append_time) FROM control_places"
        " WHERE topic_id = %(topic_id)s AND (kind = 'catalogue' OR kind = 'close' AND number >= %(number)s)"
        " GROUP BY kind, partition, number",
        parameters={"topic_id": topic_id, "number": number},
    ).result_rows
    return [Place(k, p, n, at, epoch_us(utc(appended)) // 1000) for k, p, n, at, appended in found]


def ground(
    places: list[Place], *, number: int, cluster_id: str, topic_id: str, ends: Mapping[int, int],
    written: Mapping[int, tuple[int, int]], generation: int = 1,
) -> Ground:  # fmt: skip
    """What the close stands on, if the law holds of it.

    `ends` are the log's ends before the number was taken: what was acknowledged by then lies below them.
    `written` are the offsets and append times that Kafka gave to this close's records. A row counts if no close
    record of this or a greater number stands before its event; so none may stand below `ends`, or acknowledged
    events would be missing, and this close's must stand where it was written, or earlier but not below `ends` (a
    record that was written twice). Raises CheckFailed with what is wrong, and the cure.
    """
    if foreign := sorted({place.partition for place in places} - ends.keys()):
        # What it stored may lack this close: events there would count, although none was there when it began.
        raise CheckFailed(
            f"`rollcall migrate` is adding partition {foreign[0]}, or was ended while it did: run it again, then "
            "close again; nothing was sealed"
        )
    closes = [place for place in places if place.kind == "close"]
    own = {place.partition: place for place in closes if place.number == number}
    for place in closes:
        if place.offset < ends[place.partition]:
            raise CheckFailed(
                f"close {place.number} stands already in partition {place.partition} at offset {place.offset}, before "
                f"this close began: its number was used once before ClickHouse lost it; the next close takes a "
                f"greater one: close again"
            )
    for partition, (offset, _) in sorted(written.items()):
        if partition not in own or own[partition].offset > offset:
            stored = f"stored offset {own[partition].offset}" if partition in own else "stored none"
            raise CheckFailed(
                f"the dedup job has committed past close {number} in partition {partition} (offset {offset}) but "
                f"{stored} in this ClickHouse: do worker and close use the same ROLLCALL_CLICKHOUSE_URL, database and "
                "ROLLCALL_KAFKA_GROUP? Nothing was sealed"
            )
    return Ground(
        number=number, cluster_id=cluster_id, topic_id=topic_id,
        offsets={p: own[p].offset for p in sorted(written)},
        append_ms={p: own[p].append_ms for p in sorted(written)},
        catalogue_versions={p: _in_force(places, p, own[p].offset) for p in sorted(written)}, generation=generation,
    )  # fmt: skip


def _in_force(places: list[Place], partition: int, before: int) -> int:
    numbers = [
        place.number for place in places
        if place.kind == "catalogue" and place.partition == partition and place.offset < before
    ]  # fmt: skip
    if not numbers:
        raise CheckFailed(f"no catalogue holds in partition {partition}: `rollcall migrate` stores the first version")
    return max(numbers)
