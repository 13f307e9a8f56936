"""What a rebuild changes in the quarantine, once it is accepted: events that it counts, events that it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from schemas.calendar import next_month
from schemas.quarantine import Origin, State
from stream_jobs.dedup.fold import Refused
from stream_jobs.dedup.replay import Replay

_KNOWN = (
    "SELECT topic_id, partition, offset, place, max(latest) AS joined FROM quarantine AS q"
    " GROUP BY topic_id, partition, offset, place"
    " HAVING max(q.event_time) IS NULL OR max(q.event_time) BETWEEN %(begin)s AND %(end)s"
)


class Standing(NamedTuple):
    """How an event of the quarantine stands: its newest number and the state under it."""

    number: int
    state: State


def standing(client: Client, month: date) -> dict[Origin, Standing]:
    """Every quarantined event that may belong to the month. Raises the driver's errors."""
    begin = datetime(month.year, month.month, 1, tzinfo=UTC) - timedelta(days=1)
    after = next_month(month)
    end = datetime(after.year, after.month, 1, tzinfo=UTC) + timedelta(days=1)
    rows = client.query(_KNOWN, parameters={"begin": begin, "end": end}).result_rows
    return {Origin(*origin): Standing(_member(latest, 0), State(_member(latest, 1))) for *origin, latest in rows}


def _member(latest: object, index: int) -> int:
    values = list(latest.values()) if isinstance(latest, dict) else list(latest)  # type: ignore[call-overload]
    return int(values[index])


def watched(known: Mapping[Origin, Standing], topic_id: str) -> dict[int, dict[int, set[int]]]:
    """By partition and offset, the places of the topic's events that are not counted."""
    found: dict[int, dict[int, set[int]]] = {}
    for origin, stands in known.items():
        if origin.topic_id == topic_id and stands.state is not State.counted:
            found.setdefault(origin.partition, {}).setdefault(origin.offset, set()).add(origin.place)
    return found


def to_count(origins: Iterable[Origin], known: Mapping[Origin, Standing]) -> list[Replay]:
    """Under which number each of the events that the rebuild counts is marked so; those that are already are left out.

    A number of its own, as of a replay: the event was judged again. One that is on its way keeps its number.
    """
    found = {}
    for origin in origins:
        stands = known.get(origin)
        if stands is not None and stands.state is not State.counted:
            found[origin] = stands.number + (stands.state is not State.replayed)
    return [Replay(origin, number) for origin, number in found.items()]


def to_set_aside(refused: Iterable[Refused], known: Mapping[Origin, Standing]) -> list[Refused]:
    """The events that were counted and are refused now, each once; those that stand in the quarantine are left out."""
    found: dict[Origin, Refused] = {}
    for each in refused:
        stands = known.get(each.origin)
        if stands is None:
            found[each.origin] = each
        elif stands.state is State.counted:
            found[each.origin] = each._replace(replay=stands.number + 1)
    return list(found.values())
