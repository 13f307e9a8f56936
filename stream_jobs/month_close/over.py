"""Whether a month is over, by the append times of a close's control records; no clock of ours decides it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from schemas.calendar import epoch_us, moment_of, month_interval, month_name, next_month, zone_named


def unfinished(month: date, zones: Iterable[str], append_ms: int) -> str | None:
    """The operator's sentence if the month is not over in one of the zones; None when it is over in all.

    `append_ms` is the smallest append time of the close's control records, in epoch milliseconds.
    """
    ends = {name: month_interval(month, zone_named(name))[1] for name in zones}
    late = {name: end for name, end in ends.items() if append_ms * 1000 < end}
    if not late:
        return None
    name = max(late, key=lambda zone: late[zone])
    until = moment_of(late[name]).astimezone(zone_named(name))
    return (
        f"month {month_name(month)} is not over in {name} until {until:%Y-%m-%d %H:%M %z} "
        f"(the close's records were appended {_utc(append_ms):%Y-%m-%d %H:%M}Z): close it after that"
    )


def unfinished_anywhere(month: date, append_ms: int) -> str | None:
    """The same sentence if the month is over in no zone that could exist: an offset is less than a day.

    So this may be asked before the zone is known, and never refuses what the rule would let pass.
    """
    end = epoch_us(datetime(*next_month(month).timetuple()[:3], tzinfo=UTC) - timedelta(days=1))
    if append_ms * 1000 >= end:
        return None
    return (
        f"month {month_name(month)} is not over in any time zone (the close's records were appended "
        f"{_utc(append_ms):%Y-%m-%d %H:%M}Z): close it when it is"
    )


def _utc(ms: int) -> datetime:
    return moment_of(ms * 1000)
