"""A folded batch as the blocks that are inserted, in the order in which they must be acknowledged.

Names, quarantine and control records come before the rows, so that a row never stands in the table without them; that
a replay is counted comes after them, so that it is never said of an event that is in no row.
Pure: the columns are built here, `sink.py` sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import msgspec

from infra.generation import FIRST_TABLE
from infra.pseudonyms import MonthlyPseudonyms
from schemas.calendar import moment_of
from schemas.event import MAX_ID, parse_time
from schemas.fast import Event
from schemas.identity import canonical
from schemas.quarantine import State
from stream_jobs.dedup.cache import Cache, mark
from stream_jobs.dedup.fold import Folded, Refused
from stream_jobs.dedup.links import Seen, rows_of
from stream_jobs.dedup.moment import microseconds
from stream_jobs.dedup.replay import Replay

# What ClickHouse's DateTime64(6) holds.
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
UNKNOWN_SOURCE = "unknown"
_NAMED = ("tenant", "subject", "name")
Erased = frozenset[tuple[str, bytes]]
"""Whose names are stored no more: tenants, and pseudonyms by the first key, whatever key holds in a month."""


class Block(NamedTuple):
    """One insert: the table, its columns' names, and the columns."""

    table: str
    names: tuple[str, ...]
    columns: list[list[Any]]

    def __len__(self) -> int:
        return len(self.columns[0])


def blocks(
    folded: Folded, topic_id: str, partition: int, pseudonyms: MonthlyPseudonyms, cache: Cache,
    table: str = FIRST_TABLE, erased: Erased = frozenset(),
) -> list[Block]:  # fmt: skip
    """The inserts of a batch, none of them empty; `table` is the generation's, no name of `erased` is in them."""
    names, rows = people(folded, pseudonyms, cache, table, erased)
    controls, replayed = _controls(folded, topic_id, partition), counted(folded.counted_replays)
    found = (names, refused(folded.refused), controls, rows, replayed)
    return [block for block in found if len(block)]


def learn(folded: Folded, cache: Cache) -> None:
    """Tells the cache what ClickHouse has acknowledged."""
    for slot, rows in folded.rows.items():
        for subject, row in rows.items():
            cache.learn(slot, subject, mark(slot.origin, microseconds(row.first[0]), row.days), row.recorded_in)


def people(
    folded: Folded, pseudonyms: MonthlyPseudonyms, cache: Cache, table: str, erased: Erased = frozenset()
) -> tuple[Block, Block]:
    """The names that may be new, and the rows; either may be empty."""
    months: list[date] = []
    tenants: list[str] = []
    skus: list[str] = []
    subjects: list[bytes] = []
    firsts: list[tuple[int, str, str]] = []
    days: list[int] = []
    closes: list[int] = []
    named: dict[tuple[str, bytes], str] = {}
    for slot, rows in folded.rows.items():
        tenant, pseudonym = slot.tenant, pseudonyms.at(slot.month).of
        fold_case, truncate = slot.fold_case, slot.truncate
        months += [slot.month] * len(rows)
        tenants += [tenant] * len(rows)
        skus += [slot.sku] * len(rows)
        for spelled, row in rows.items():
            name = canonical(spelled, fold_case, truncate)
            subject = pseudonym(tenant, name)
            time, source, event_id = row.first
            subjects.append(subject)
            firsts.append((microseconds(time), source, event_id))
            days.append(row.days)
            closes.append(row.recorded_in)
            if cache.recall(slot, spelled) is None and not (
                erased and (tenant, pseudonyms.first.of(tenant, name)) in erased
            ):
                named[tenant, subject] = name
    names = Block(
        "subject_names", _NAMED,
        [[tenant for tenant, _ in named], [subject for _, subject in named], list(named.values())],
    )  # fmt: skip
    active = Block(
        table, ("month", "tenant", "sku", "subject", "first_event", "active_days", "recorded_in"),
        [months, tenants, skus, subjects, firsts, days, closes],
    )  # fmt: skip
    return names, active


def linked(found: Sequence[Seen], pseudonyms: MonthlyPseudonyms, erased: Erased) -> list[Block]:
    """That names are of one person, and the names; none of the blocks is empty."""
    named, links = rows_of(found, pseudonyms, erased)
    of_links = ("tenant", "one", "other", "kinds", "first_month", "last_month")
    return [
        Block(table, columns, [list(column) for column in zip(*rows, strict=True)])
        for table, columns, rows in (("subject_names", _NAMED, named), ("identity_links", of_links, links)) if rows
    ]  # fmt: skip


def refused(events: Iterable[Refused]) -> Block:
    """That events are set aside, and why."""
    return _quarantine(map(_refused_row, events))


def counted(replays: Iterable[Replay]) -> Block:
    """That events that were set aside are counted now."""
    return _quarantine(
        (*replay.origin, (replay.number, int(State.counted), "", ""), "", None, _NEVER) for replay in replays
    )


def _quarantine(rows: Iterable[tuple[Any, ...]]) -> Block:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]]
    names = ("topic_id", "partition", "offset", "place", "latest", "source", "event_time", "append_time")
    return Block("quarantine", names, columns)


_NEVER = _LATEST
"""The neutral element of the column's join (min), for a row that only tells a new state."""


def _refused_row(refused: Refused) -> tuple[Any, ...]:
    source, time = glimpse(refused)
    latest = (refused.replay, int(State.quarantined), refused.refusal.reason, refused.refusal.detail)
    return (*refused.origin, latest, source, time, moment_of(refused.append_ms * 1000))


def glimpse(refused: Refused) -> tuple[str, datetime | None]:
    """The source and the time of a refused event, where they can be read: for dashboards and the cap, not to count."""
    if isinstance(refused.event, Event):
        return refused.event.source, _held(refused.event.time)
    try:
        seen = _look(refused.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        seen = _Glimpse()
    for name, value in refused.headers:  # binary mode
        if name in ("ce_source", "ce_time") and value is not None:
            setattr(seen, name[3:], value.decode("utf-8", "replace"))
    source, time = seen.source, None
    if not isinstance(source, str) or not 0 < len(source) <= MAX_ID or not source.isprintable():
        source = UNKNOWN_SOURCE
    try:
        time = _held(parse_time(seen.time))
    except ValueError:
        time = None
    return source, time


class _Glimpse(msgspec.Struct):
    source: Any = None
    time: Any = None


_look = msgspec.json.Decoder(_Glimpse).decode


def _held(time: datetime) -> datetime | None:
    return time if _EARLIEST <= time < _LATEST else None


def _controls(folded: Folded, topic_id: str, partition: int) -> Block:
    found = folded.controls
    columns: list[list[Any]] = [
        [topic_id] * len(found), [c.record.kind for c in found], [partition] * len(found),
        [c.record.number for c in found], [c.offset for c in found], [moment_of(c.append_ms * 1000) for c in found],
    ]  # fmt: skip
    return Block("control_places", ("topic_id", "kind", "partition", "number", "offset", "append_time"), columns)
