"""Quarantined events as ClickHouse has them: neither bytes nor names of people.

Nothing here catches the driver's errors; callers use `infra.clickhouse.client.explained`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from schemas.calendar import epoch_us, moment_of, next_month
from schemas.quarantine import Origin, State

# The zone that decides an event's month is not known here, so a month takes in what may lie in it on Earth.
EARLIEST, LATEST = 14 * 3_600_000, 12 * 3_600_000
NEVER: Final = "toDateTime64('2262-01-01 00:00:00', 3, 'UTC')"
"""The append time of a row that only tells of a counted replay: nothing of that origin was ever set aside."""


@dataclass(frozen=True)
class Entry:
    """One quarantined event, under its latest state. Times are UTC."""

    origin: Origin
    replay: int
    """How often it was sent round again and judged."""
    state: State
    reason: str
    detail: str
    source: str
    event_time: datetime | None
    """None where it cannot be read."""
    append_time: datetime
    """When Kafka appended the record that it first stood in."""


class Tally(NamedTuple):
    source: str
    reason: str
    state: State
    events: int


@dataclass(frozen=True)
class Selection:
    """Which entries: all that fit every part that is given.

    `month` (its first day) takes an event by its own time, in any zone, and one without a readable time by its
    append time in that month or the next (decision 10).
    """

    origins: tuple[Origin, ...] = ()
    month: date | None = None
    source: str | None = None
    reason: str | None = None
    states: tuple[State, ...] | None = None
    """None: those that the task at hand is meant for."""


# Not FINAL: with it, ClickHouse reads a member of `latest` from any of the rows that are not merged yet.
_ENTRIES = (
    "(SELECT topic_id, partition, offset, place, max(latest) AS joined, max(q.source) AS broker, "
    "max(q.event_time) AS occurred, min(q.append_time) AS appended "
    "FROM quarantine AS q GROUP BY topic_id, partition, offset, place)"
)


def listed(client: Client, selection: Selection, limit: int | None = None) -> Iterator[Entry]:
    """The entries, the newest first."""
    where, values = _where(selection)
    values["limit"] = (1 << 63) - 1 if limit is None else limit
    rows = client.query(
        "SELECT topic_id, partition, offset, place, joined.replay, joined.state, joined.reason, joined.detail, broker, "
        f"toUnixTimestamp64Micro(occurred), toUnixTimestamp64Milli(appended) FROM {_ENTRIES} WHERE {where} "
        "ORDER BY appended DESC, topic_id, partition, offset DESC, place LIMIT {limit:UInt64}",
        parameters=values,
    ).result_rows
    for *origin, replay, state, reason, detail, source, event_us, append_ms in rows:
        yield Entry(
            Origin(*origin), replay, State(state), reason, detail, source,
            None if event_us is None else moment_of(event_us), moment_of(append_ms * 1000),
        )  # fmt: skip


def total(client: Client, selection: Selection) -> int:
    """How many entries there are."""
    where, values = _where(selection)
    return int(client.query(f"SELECT count() FROM {_ENTRIES} WHERE {where}", parameters=values).result_rows[0][0])


def tallies(client: Client, selection: Selection) -> list[Tally]:
    """The entries counted by source, reason and state."""
    where, values = _where(selection)
    rows = client.query(
        f"SELECT broker, joined.reason AS reason, joined.state AS state, count() FROM {_ENTRIES} WHERE {where} "
        "GROUP BY broker, reason, state ORDER BY broker, reason, state",
        parameters=values,
    ).result_rows
    return [Tally(source, reason, State(state), events) for source, reason, state, events in rows]


def waive(client: Client, selection: Selection) -> int:
    """Stores `waived` for the selected entries that are `quarantined`, at their number; returns how many there were.

    One that is sent round again meanwhile keeps its later state, for the state is a join. Safe to repeat.
    """
    waivable = replace(selection, states=(State.quarantined,))
    where, values = _where(waivable)
    count = total(client, waivable)
    client.command(
        "INSERT INTO quarantine (topic_id, partition, offset, place, latest, source, event_time, append_time) "
        "SELECT topic_id, partition, offset, place, "
        f"(joined.replay, {int(State.waived)}, joined.reason, joined.detail), broker, occurred, appended "
        f"FROM {_ENTRIES} WHERE {where}",
        parameters=values,
    )
    return count


def _where(selection: Selection) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {}
    terms = [f"appended < {NEVER}"]
    if selection.states is not None:
        values["states"] = [int(state) for state in selection.states]
        terms.append("joined.state IN {states:Array(UInt8)}")
    if selection.origins:
        values["origins"] = [tuple(origin) for origin in selection.origins]
        terms.append("(topic_id, partition, offset, place) IN {origins:Array(Tuple(String, UInt32, UInt64, Int32))}")
    for column, value in (("broker", selection.source), ("joined.reason", selection.reason)):
        if value is not None:
            name = column.rpartition(".")[2]
            values[name] = value
            terms.append(f"{column} = {{{name}:String}}")
    if selection.month is not None:
        after = next_month(selection.month)
        values["begin"] = _midnight(selection.month) - EARLIEST
        values["end"], values["end_after"] = _midnight(after) + LATEST, _midnight(next_month(after)) + LATEST
        time = "toUnixTimestamp64Milli(ifNull(occurred, toDateTime64(appended, 6, 'UTC')))"
        terms.append(f"{time} >= {{begin:Int64}}")
        terms.append(f"{time} < if(occurred IS NULL, {{end_after:Int64}}, {{end:Int64}})")
    return " AND ".join(terms), values


def _midnight(day: date) -> int:
    """Epoch milliseconds of the day's start in UTC."""
    return epoch_us(datetime(day.year, day.month, day.day, tzinfo=UTC)) // 1000
