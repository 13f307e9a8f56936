"""Times as brokers write them, as RFC 3339 with an offset. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from schemas.calendar import EPOCH, zone_named
from schemas.quarantine import Refusal

# A time of day is there, seconds may lack; the offset, where there is one, is Z, ±HH:MM, ±HHMM or ±HH.
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)"
    r"\s?(?:(Z|z|UTC)|([+-][0-9]{2})(?::?([0-9]{2}))?)?"
)


class NoZone(Refusal):
    """A time that says nothing of its zone, where none was told either."""


def read_time(text: str, zone: ZoneInfo | None) -> str:
    """`2026-10-31 23:59:59[.…][offset]` as RFC 3339; a time without an offset was written in `zone`.

    Raises NoZone, or Refusal(bad_time) for what is no time of this form.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise Refusal(
            "bad_time",
            "time: write it as 2026-10-31T23:59:59+09:00 or 2026-10-31 23:59:59; a --map reads other forms",
        )
    day, clock, utc, hours, minutes = match.groups()
    clock = clock.replace(",", ".") if len(clock) > 5 else f"{clock}:00"
    if utc or hours:
        return f"{day}T{clock}" + ("Z" if utc else f"{hours}:{minutes or '00'}")
    if zone is None:
        raise NoZone(
            "bad_time",
            f"the time {text.strip()!r} has no offset: give the zone in which it was written, as --zone Asia/Tokyo or "
            f"--zone UTC",
        )
    try:
        return in_zone(datetime.fromisoformat(f"{day}T{clock[:15]}"), zone)
    except ValueError as error:
        raise Refusal("bad_time", f"time: {error}") from None


def read_form(text: str, form: str, zone: ZoneInfo | None) -> str:
    """A time in a form of `strptime`. Raises NoZone or Refusal(bad_time)."""
    try:
        moment = datetime.strptime(text.strip(), form)
    except ValueError:
        raise Refusal("bad_time", f"the time {text.strip()[:60]!r} is not of the form {form!r}") from None
    if moment.tzinfo is not None:
        return moment.isoformat()
    if zone is None:
        raise NoZone("bad_time", f"the time {text.strip()[:60]!r} has no offset: give its zone, as --zone Asia/Tokyo")
    return in_zone(moment, zone)


def read_epoch(text: str, units_a_second: int) -> str:
    """A whole or decimal number of units since 1970-01-01 UTC, cut to microseconds. Raises Refusal(bad_time)."""
    match = re.fullmatch(r"(-?[0-9]{1,15})(?:\.([0-9]{1,12}))?", text.strip())
    if match is None:
        raise Refusal("bad_time", f"the time {text.strip()[:60]!r} is not a number of units since 1970-01-01 UTC")
    whole, part = int(match[1]), int(((match[2] or "") + "0" * 6)[:6])
    us = whole * (1_000_000 // units_a_second) + part // units_a_second
    try:
        return (EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise Refusal("bad_time", f"the time {text.strip()[:60]!r} lies beyond the year 9999") from None


def in_zone(local: datetime, zone: ZoneInfo) -> str:
    """A local time with the zone's offset, RFC 3339.

    Where clocks were put back, a time that was shown twice is taken as the first of the two; where they were
    put forward, a time that was never shown is read with the offset before the jump (02:30 is then the
    instant that was shown as 03:30). So the same text always gives the same event.
    """
    moment = local.replace(tzinfo=zone, fold=0)
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:  # local mean time: RFC 3339 has no seconds in an offset
        return _at(moment, zone_named("UTC"))
    return moment.isoformat()


def _at(moment: datetime, zone: tzinfo) -> str:
    try:
        return moment.astimezone(zone).isoformat()
    except OverflowError:
        raise Refusal("bad_time", f"the time {moment} lies outside of the years 1 to 9999 in {zone}") from None


def to_utc(moment: datetime, zone: ZoneInfo | None) -> str:
    """A driver's datetime: an aware one as it is, a naive one in `zone`. Raises NoZone."""
    if moment.tzinfo is not None:
        return _at(moment, UTC)
    return read_time(moment.isoformat(sep=" "), zone)
