"""Months and days of a time zone, as half-open intervals of epoch microseconds.

A month begins at the first instant of its first day in the zone and ends where the next one begins, so the
months of a zone cover all time without gap or overlap, whatever its daylight-saving rules do. Where clocks
are put back over midnight of the first day (St. John's, 2009-11-01 00:01), the repeated hour belongs to the
new month: a month is one interval.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@cache
def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone, from the `tzdata` package where the system has none. ValueError if unknown."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Asia/Tokyo") from error


def epoch_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00Z of an aware moment; exact."""
    return (moment - EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The UTC moment of epoch microseconds. OverflowError outside of years 1 to 9999."""
    return EPOCH + timedelta(microseconds=us)


def parse_month(text: str) -> date:
    """`YYYY-MM` as the month's first day. ValueError for anything else."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text < "1970-01":
        raise ValueError(f"{text!r} is not a month; write it as YYYY-MM, from 1970-01 on")
    return date.fromisoformat(f"{text}-01")


def month_name(month: date) -> str:
    return f"{month:%Y-%m}"


def next_month(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


@lru_cache(maxsize=65536)
def day_start(day: date, zone: ZoneInfo) -> int:
    """Epoch microseconds of the day's first instant; inside a gap, the instant of the jump."""
    return epoch_us(datetime(day.year, day.month, day.day, tzinfo=zone))


def month_interval(month: date, zone: ZoneInfo) -> tuple[int, int]:
    """`[start, end)` in epoch microseconds of the month that begins on this day."""
    return day_start(month, zone), day_start(next_month(month), zone)


def locate(us: int, zone: ZoneInfo) -> tuple[date, int]:
    """The month (its first day) and the day of the month, 1 to 31, on which an instant falls in a zone."""
    local = moment_of(us).astimezone(zone).date()
    month = local.replace(day=1)
    start, end = month_interval(month, zone)
    if us < start:  # the clock shows the new month already, its interval begins later
        before = month - timedelta(days=1)
        return before.replace(day=1), before.day
    if us >= end:  # put back over midnight: the clock shows the old month again
        return next_month(month), 1
    return month, local.day
