"""Who was heard of, and what sources said of themselves, as blocks beside a batch's rows. No count depends on it.

Every column is a join, so what is stored twice, or by two workers, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from schemas.calendar import EPOCH, moment_of
from stream_jobs.dedup.fold import Folded, PlacedReport
from stream_jobs.dedup.moment import first_minute, microseconds
from stream_jobs.dedup.rows import Block

REMEMBERED = 30_000
"""Days of sources that are remembered as stored; forgetting them costs a repeated row each."""
_NEVER_LESS, _NEVER_MORE = (1 << 63) - 1, -(1 << 63)
"""The neutral elements of min and max."""
_LAST_DAY = 65_535
"""Of ClickHouse's Date, counted from 1970."""
_DAY = 1440
_A_DAY = timedelta(days=1)

Key = tuple[str, int]
"""A source, and a UTC day of its events, counted from 1970."""
Known = tuple[int, int, int]
"""Bits of quarters, the smallest and the greatest delay in milliseconds."""
_NOTHING: Known = (0, _NEVER_LESS, _NEVER_MORE)


class Heard:
    """What ClickHouse has acknowledged of `source_activity`, so that a batch adds only what is new."""

    def __init__(self) -> None:
        self._stored: dict[Key, Known] = {}
        self._hours: dict[str, set[int]] = {}
        """Of the same, by source, the clock hours: what most batches bring again."""

    def fresh(self, folded: Folded) -> dict[Key, Known]:
        """What of a batch is not known to be stored."""
        found: dict[Key, Known] = {}
        for source, hours in folded.heard.items():
            for hour in hours.keys() - self._hours.get(source, set()):
                day, minute = divmod(first_minute(hour), _DAY)
                _join(found, (source, day), (1 << minute // 15, _NEVER_LESS, _NEVER_MORE))
        for source, time, append_ms in folded.delays:
            delay = append_ms - microseconds(time) // 1000
            _join(found, (source, time // _A_DAY), (0, delay, delay))
        return {
            key: known for key, known in found.items()
            if 0 <= key[1] <= _LAST_DAY and _joined(before := self._stored.get(key, _NOTHING), known) != before
        }  # fmt: skip

    def learn(self, folded: Folded, stored: dict[Key, Known]) -> None:
        """Tells what of the batch was `fresh`, and that ClickHouse has acknowledged it."""
        if len(self._stored) > REMEMBERED:
            self._stored.clear()
            self._hours.clear()
        for key, known in stored.items():
            _join(self._stored, key, known)
        for source, hours in folded.heard.items():
            self._hours.setdefault(source, set()).update(hours)


def activity(fresh: dict[Key, Known]) -> Block:
    columns = list(zip(*((source, _date(day), *known) for (source, day), known in fresh.items()), strict=True)) or [()]
    names = ("source", "day", "quarters", "delay_min", "delay_max")
    return Block("source_activity", names, [list(column) for column in columns])


def reports(found: Iterable[PlacedReport]) -> Block:
    rows = []
    for placed in found:
        r, place = placed.report, (moment_of(placed.append_ms * 1000), placed.offset)
        spooled = -1 if r.spool_bytes is None else r.spool_bytes
        rows.append((
            r.source, r.kind, placed.close, (*place, r.at.astimezone(UTC), spooled, _or_epoch(r.polled), r.error),
            _or_epoch(r.complete_to), (EPOCH, 0, 0) if r.refused is None else (*place, r.refused),
        ))  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()]
    names = ("source", "kind", "recorded_in", "newest", "complete_to", "refused")
    return Block("source_reports", names, [list(column) for column in columns])


def _join(into: dict[Key, Known], key: Key, known: Known) -> None:
    into[key] = _joined(into.get(key, _NOTHING), known)


def _joined(one: Known, other: Known) -> Known:
    return one[0] | other[0], min(one[1], other[1]), max(one[2], other[2])


def _date(day: int) -> date:
    return (EPOCH + timedelta(days=day)).date()


def _or_epoch(time: datetime | None) -> datetime:
    return time.astimezone(UTC) if time else EPOCH
