"""Who was heard of, and what sources said of themselves, as blocks beside a batch's rows. No count depends on it.

Every column is a join, so what is stored twice, or by two workers, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from schemas.calendar import EPOCH, moment_of
from schemas.event import DATA
from schemas.fast import read_fast
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.decode import content_type
from stream_jobs.dedup.fold import Folded, PlacedReport
from stream_jobs.dedup.moment import first_minute, microseconds, since_epoch
from stream_jobs.dedup.rows import Block

REMEMBERED = 100_000
"""Days of sources that are remembered as stored; forgetting them costs a repeated row each."""
_NEVER_LESS, _NEVER_MORE = (1 << 63) - 1, -(1 << 63)
"""The neutral elements of min and max."""
_LAST_DAY = 65_535
"""Of ClickHouse's Date, counted from 1970."""
_DAY = 1440

Key = tuple[str, int]
"""A source, and a UTC day of its events, counted from 1970."""
Known = tuple[int, int, int]
"""Bits of quarters, the smallest and the greatest delay in milliseconds."""
_NOTHING: Known = (0, _NEVER_LESS, _NEVER_MORE)


class Heard:
    """What ClickHouse has acknowledged of `source_activity`, so that a batch adds only what is new."""

    def __init__(self) -> None:
        self._stored: dict[Key, Known] = {}

    def fresh(self, batch: Batch, folded: Folded) -> dict[Key, Known]:
        """What of the batch is not known to be stored."""
        found: dict[Key, Known] = {}
        for source, hour in folded.heard:
            day, minute = divmod(first_minute(hour), _DAY)
            _join(found, (source, day), (1 << minute // 15, _NEVER_LESS, _NEVER_MORE))
        for source, time, delay in _delays(batch):
            if (key := (source, time // timedelta(days=1))) in found:  # what was refused is not heard of
                _join(found, key, (0, delay, delay))
        return {
            key: known for key, known in found.items()
            if 0 <= key[1] <= _LAST_DAY and _joined(before := self._stored.get(key, _NOTHING), known) != before
        }  # fmt: skip

    def learn(self, stored: dict[Key, Known]) -> None:
        """Tells what ClickHouse has acknowledged."""
        if len(self._stored) > REMEMBERED:
            self._stored.clear()
        for key, known in stored.items():
            _join(self._stored, key, known)


def activity(fresh: dict[Key, Known]) -> Block:
    columns = list(zip(*((source, _date(day), *known) for (source, day), known in fresh.items()), strict=True)) or [()]
    names = ("source", "day", "quarters", "delay_min", "delay_max")
    return Block("source_activity", names, [list(column) for column in columns])


def reports(found: Iterable[PlacedReport]) -> Block:
    rows = [
        (r.source, r.kind, placed.close, (
            moment_of(placed.append_ms * 1000), placed.offset, r.at.astimezone(UTC),
            -1 if r.spool_bytes is None else r.spool_bytes, _or_epoch(r.polled), r.error,
        ), _or_epoch(r.complete_to))
        for placed in found for r in (placed.report,)
    ]  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()]
    names = ("source", "kind", "recorded_in", "newest", "complete_to")
    return Block("source_reports", names, [list(column) for column in columns])


def _delays(batch: Batch) -> Iterator[tuple[str, timedelta, int]]:
    """Of the batch's first, middle and last record: source, time since the epoch, and delay until it was appended."""
    records = batch.records
    for index in sorted({0, len(records) // 2, len(records) - 1}):
        record = records[index]
        if record.value and content_type(record.headers) != DATA:
            for event in read_fast(record.value) or ():
                time = since_epoch(event.time)
                yield event.source, time, record.timestamp - microseconds(time) // 1000


def _join(into: dict[Key, Known], key: Key, known: Known) -> None:
    into[key] = _joined(into.get(key, _NOTHING), known)


def _joined(one: Known, other: Known) -> Known:
    return one[0] | other[0], min(one[1], other[1]), max(one[2], other[2])


def _date(day: int) -> date:
    return (EPOCH + timedelta(days=day)).date()


def _or_epoch(time: datetime | None) -> datetime:
    return time.astimezone(UTC) if time else EPOCH
