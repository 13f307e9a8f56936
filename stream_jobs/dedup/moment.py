"""Times as the hot path holds them: a clock hour to look places up by, a timedelta since the epoch to compare by.

A clock hour is an hour as the event's own clock shows it, told apart by the clock's offset: three attributes of the
time and a sum, several times as fast as turning it into UTC. An exact time is only asked for where one is stored, or
where the hour does not say enough. Python subtracts two datetimes with the same tzinfo object without asking it for
offsets, so there is an epoch in each offset that events come with (1,439 at the most in either direction).
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from schemas.calendar import EPOCH

_MICROSECOND = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_EPOCH_HOURS = EPOCH.toordinal() * 24
_OFFSET_SHIFT = 27
_HOURS = (1 << _OFFSET_SHIFT) - 1
"""Hours since the year 0 need 27 bits up to the year 9999."""
_DAY = 1440


class Offset(NamedTuple):
    """What a clock's distance from UTC makes of its times."""

    epoch: datetime
    base: int
    """Add `time.toordinal() * 24 + time.hour`: the clock hour."""
    minutes: int
    """Ahead of UTC."""


class _Offsets(dict[tzinfo | None, Offset]):
    def __missing__(self, zone: tzinfo | None) -> Offset:
        minutes = (zone.utcoffset(None) if zone else None) or timedelta()
        ahead = minutes // _MINUTE
        found = self[zone] = Offset(EPOCH.astimezone(zone), ahead + _DAY << _OFFSET_SHIFT, ahead)
        return found


OFFSETS = _Offsets()
"""By a time's tzinfo, which has a fixed offset of whole minutes."""


def since_epoch(time: datetime) -> timedelta:
    """The time since 1970-01-01T00:00Z of an aware datetime."""
    return time - OFFSETS[time.tzinfo].epoch


def microseconds(since: timedelta) -> int:
    return since // _MICROSECOND


def hour_of(time: datetime) -> int:
    """The clock hour of an aware datetime."""
    return OFFSETS[time.tzinfo].base + time.toordinal() * 24 + time.hour


def clock_at(since: timedelta, offset: Offset) -> tuple[int, int]:
    """The clock hour of a time since the epoch, and the minute in it, as a clock of that offset shows them."""
    hours, minute = divmod(since // _MINUTE + offset.minutes, 60)
    return offset.base + _EPOCH_HOURS + hours, minute


def first_minute(hour: int) -> int:
    """The minute since the epoch at which a clock hour begins."""
    return ((hour & _HOURS) - _EPOCH_HOURS) * 60 - ((hour >> _OFFSET_SHIFT) - _DAY)
