"""Times as the hot path holds them: a timedelta since the epoch, exact to the microsecond and quick to compare.

Python subtracts two datetimes with the same tzinfo object without asking it for offsets, several times as fast as
`timestamp()`; so there is an epoch in each offset that events come with (1,439 at the most in either direction).
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from schemas.calendar import EPOCH

_MICROSECOND = timedelta(microseconds=1)


class _Epochs(dict[tzinfo | None, datetime]):
    def __missing__(self, zone: tzinfo | None) -> datetime:
        found = self[zone] = EPOCH.astimezone(zone)
        return found


EPOCHS = _Epochs()
"""The epoch by a time's tzinfo."""


def since_epoch(time: datetime) -> timedelta:
    """The time since 1970-01-01T00:00Z of an aware datetime."""
    return time - EPOCHS[time.tzinfo]


def microseconds(since: timedelta) -> int:
    return since // _MICROSECOND


def quarter_of(since: timedelta) -> int:
    """The quarter of an hour since the epoch."""
    return since.days * 96 + since.seconds // 900
