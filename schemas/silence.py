"""When a source is expected to speak, and when it did not. Half-open intervals of epoch seconds; pure.

An instant is expected when the clock in the rhythm's zone shows an expected time of an expected day: where clocks are
put forward, hours that they skip are not expected; where they are put back, those that they show twice are, twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from schemas.calendar import zone_named
from schemas.source_declared import WEEKDAYS, Rhythm

HOUR, DAY = 3600, 86_400


class Span(NamedTuple):
    start: int
    end: int

    def cut(self, other: Span) -> Span:
        """What of it is in the other; empty (start = end) where nothing is."""
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.end, other.end)))

    @property
    def seconds(self) -> int:
        return self.end - self.start


class Silence(NamedTuple):
    """Expected from `start` to `end`, for `missed` seconds in all, and not heard of."""

    start: int
    end: int
    missed: int


def expected(rhythm: Rhythm, within: Span) -> list[Span]:
    """When it is expected to speak, ascending; spans that touch are one."""
    opens, closes = rhythm.start * 60, rhythm.to * 60
    if closes <= opens:
        closes += DAY
    days = {WEEKDAYS.index(day) for day in rhythm.days}
    found = []
    for stretch, offset in _stretches(within, rhythm.zone):
        first = (stretch.start + offset) // DAY - 1  # hours after midnight may be of the day before
        for day in range(first, (stretch.end + offset) // DAY + 1):
            if (day + 3) % 7 in days:  # 1970-01-01 was a Thursday
                begin = day * DAY - offset
                found.append(Span(begin + opens, begin + closes).cut(stretch))
    return list(_merged(found))


def silences(expected: list[Span], heard: Iterable[Span], longest: int) -> list[Silence]:
    """Each time between two spans heard of (or from the first, and to the last, that is expected) of which more than
    `longest` seconds were expected."""
    if not expected:
        return []
    found, since = [], expected[0].start
    for span in _merged([*heard, Span(expected[-1].end, expected[-1].end + 1)]):
        quiet = [part for each in expected if (part := each.cut(Span(since, max(since, span.start)))).seconds]
        if (missed := sum(part.seconds for part in quiet)) > longest:
            found.append(Silence(quiet[0].start, quiet[-1].end, missed))
        since = max(since, span.end)
    return found


def heard_spans(day: date, quarters: int) -> Iterator[Span]:
    """Of a UTC day's bits: an event took place within the hour that begins with the quarter."""
    start = (day - date(1970, 1, 1)).days * DAY
    for quarter in range(96):
        if quarters >> quarter & 1:
            yield Span(begin := start + quarter * 900, begin + HOUR)


def days_of(within: Span) -> tuple[date, date]:
    """The UTC days, both included, whose bits tell of the span."""
    return _utc(within.start - HOUR).date(), _utc(within.end).date()


def _merged(spans: list[Span]) -> Iterator[Span]:
    last: Span | None = None
    for span in sorted(each for each in spans if each.seconds):
        if last is None:
            last = span
        elif span.start <= last.end:
            last = Span(last.start, max(last.end, span.end))
        else:
            yield last
            last = span
    if last is not None:
        yield last


def _stretches(within: Span, zone: str) -> Iterator[tuple[Span, int]]:
    """Where the zone's clock runs evenly, with its seconds ahead of UTC."""
    begin, offset = within.start, _offset(within.start, zone)
    for hour in [*range(within.start + HOUR, within.end, HOUR), within.end]:
        if (then := _offset(hour, zone)) == offset:
            continue
        before, after = max(begin, hour - HOUR), hour
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if _offset(middle, zone) == offset else (before, middle)
        yield Span(begin, after), offset
        begin, offset = after, then
    if begin < within.end:
        yield Span(begin, within.end), offset


def _offset(second: int, zone: str) -> int:
    ahead = _utc(second).astimezone(zone_named(zone)).utcoffset()
    return int((ahead or timedelta()).total_seconds())


def _utc(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
