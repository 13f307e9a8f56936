"""Months of a time zone: they cover time without gap or overlap, and every instant lies in exactly one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendar import (
    day_start,
    epoch_us,
    locate,
    moment_of,
    month_interval,
    month_name,
    next_month,
    parse_month,
    zone_named,
)
from tests.unit.logins import law

ZONES = sorted(available_timezones() - {"localtime"})
# With a first of a month that daylight saving, the date line or a change of offset made odd.
ODD_ZONES = [
    "Asia/Tokyo", "Europe/Berlin", "America/St_Johns", "America/Sao_Paulo", "Asia/Kathmandu", "Asia/Amman", "UTC",
    "Africa/Monrovia", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Kwajalein", "Asia/Tehran", "Africa/Casablanca",
    "America/Havana", "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll", "Asia/Pyongyang",
]  # fmt: skip

SHORT = {("Pacific/Kiritimati", "1994-12"): 30}
"""It went over the date line on New Year's Eve."""


def utc(text: str) -> int:
    return epoch_us(datetime.fromisoformat(text).astimezone(UTC))


def months_of(year: int) -> list[date]:
    return [date(year, month, 1) for month in range(1, 13)] + [date(year + 1, 1, 1)]


@pytest.mark.parametrize("year", [1970, 1994, 2009, 2011, 2018, 2024, 2026])
def test_the_months_of_every_zone_begin_with_the_first_instant_of_their_first_day(year: int) -> None:
    for name in ZONES:
        zone = zone_named(name)
        for month in months_of(year)[:-1]:
            start, end = month_interval(month, zone)
            assert start < end == month_interval(next_month(month), zone)[0], (name, month)
            assert moment_of(start).astimezone(zone).date() == month, (name, month)
            assert moment_of(start - 1).astimezone(zone).date() < month, (name, month)


@pytest.mark.parametrize("name", ODD_ZONES)
def test_locate_agrees_with_the_intervals_to_the_microsecond(name: str) -> None:
    zone = zone_named(name)
    for year in (1970, 1972, 1994, 2009, 2011, 2024, 2026):
        for month, after in pairwise(months_of(year)):
            start, end = month_interval(month, zone)
            assert locate(start, zone) == (month, 1)
            last = SHORT.get((name, month_name(month)), (after - timedelta(days=1)).day)
            assert locate(end - 1, zone) == (month, last)
            assert locate(end, zone) == (after, 1)


@law(300)
@given(st.sampled_from(ZONES), st.datetimes(datetime(1970, 1, 3), datetime(2060, 1, 1)))
def test_every_instant_lies_in_the_month_and_on_a_day_of_its_month(name: str, moment: datetime) -> None:
    zone, us = zone_named(name), epoch_us(moment.replace(tzinfo=UTC))
    month, day = locate(us, zone)
    start, end = month_interval(month, zone)
    assert start <= us < end
    assert 1 <= day <= (next_month(month) - timedelta(days=1)).day
    assert abs(day - moment_of(us).astimezone(zone).day) in (0, 27, 28, 29, 30)


# Worked out by hand: a fixed offset and the rule's text, without a zone's data.
EDGES = [
    ("Asia/Tokyo", "2026-11", "2026-10-31T15:00:00+00:00", "2026-11-30T15:00:00+00:00"),
    ("Europe/Berlin", "2026-03", "2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00"),
    ("Europe/Berlin", "2026-10", "2026-09-30T22:00:00+00:00", "2026-10-31T23:00:00+00:00"),
    ("America/New_York", "2026-11", "2026-11-01T00:00:00-04:00", "2026-12-01T00:00:00-05:00"),
    ("America/St_Johns", "2009-11", "2009-11-01T00:00:00-02:30", "2009-12-01T00:00:00-03:30"),
    ("Asia/Kathmandu", "2024-02", "2024-02-01T00:00:00+05:45", "2024-03-01T00:00:00+05:45"),
    ("UTC", "2024-02", "2024-02-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
    ("UTC", "2100-02", "2100-02-01T00:00:00+00:00", "2100-03-01T00:00:00+00:00"),
    ("Africa/Monrovia", "1971-12", "1971-12-01T00:00:00-00:44:30", "1972-01-01T00:00:00-00:44:30"),
    ("Africa/Monrovia", "1972-01", "1972-01-01T00:00:00-00:44:30", "1972-02-01T00:00:00+00:00"),
    ("Pacific/Apia", "2011-12", "2011-12-01T00:00:00-10:00", "2012-01-01T00:00:00+14:00"),
    ("Pacific/Kiritimati", "1995-01", "1995-01-01T00:00:00+14:00", "1995-02-01T00:00:00+14:00"),
    ("Asia/Amman", "2011-04", "2011-04-01T01:00:00+03:00", "2011-05-01T00:00:00+03:00"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "month", "start", "end"), EDGES)
def test_month_edges_known_by_other_means(name: str, month: str, start: str, end: str) -> None:
    zone = zone_named(name)
    assert month_interval(parse_month(month), zone) == (utc(start), utc(end))
    assert month_name(locate(utc(start), zone)[0]) == month
    assert month_name(locate(utc(start) - 1, zone)[0]) != month
    assert month_name(locate(utc(end) - 1, zone)[0]) == month


def test_a_leap_day_is_the_29th() -> None:
    tokyo = zone_named("Asia/Tokyo")
    assert locate(utc("2024-02-29T00:00:00+09:00"), tokyo) == (date(2024, 2, 1), 29)
    assert locate(utc("2024-02-29T23:59:59.999999+09:00"), tokyo) == (date(2024, 2, 1), 29)
    assert locate(utc("2023-03-01T00:00:00+09:00") - 1, tokyo) == (date(2023, 2, 1), 28)


def test_an_hour_repeated_over_midnight_of_the_first_belongs_to_the_new_month() -> None:
    """St. John's put its clocks back at 00:01 on 2009-11-01: the clock showed October once more."""
    zone = zone_named("America/St_Johns")
    again = utc("2009-10-31T23:30:00-03:30")
    assert moment_of(again).astimezone(zone).date() == date(2009, 10, 31)
    assert locate(again, zone) == (date(2009, 11, 1), 1)


def test_a_day_that_never_was() -> None:
    """Samoa went over the date line: 2011-12-30 has no instant."""
    apia = zone_named("Pacific/Apia")
    assert day_start(date(2011, 12, 30), apia) == day_start(date(2011, 12, 31), apia)
    assert locate(utc("2011-12-29T23:59:59-10:00"), apia)[1] == 29
    assert locate(utc("2011-12-31T00:00:00+14:00"), apia)[1] == 31


@law(100)
@given(st.datetimes(), st.integers(-1439, 1439))
def test_epoch_microseconds_are_exact(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    seconds = (moment.toordinal() - 719_163) * 86_400 + moment.hour * 3600 + moment.minute * 60 + moment.second
    assert epoch_us(aware) == (seconds - offset * 60) * 1_000_000 + moment.microsecond
    if 2 < moment.year < 9998:
        assert moment_of(epoch_us(aware)) == aware


@pytest.mark.parametrize("name", ["", "Tokyo", "Asia", "../etc/passwd", "/etc/localtime", "Asia/Tokyo\0", "x" * 300])
def test_names_that_are_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="is not an IANA time zone such as Asia/Tokyo"):
        zone_named(name)


NO_MONTHS = ["", "2026", "2026-13", "2026-00", "2026-1", "2026-10-01", "1969-12", " 2026-10", "2026-10\n"]


@pytest.mark.parametrize("text", NO_MONTHS)
def test_texts_that_are_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="write it as YYYY-MM"):
        parse_month(text)


def test_months_have_names_and_followers() -> None:
    assert parse_month("2024-12") == date(2024, 12, 1)
    assert next_month(date(2024, 12, 1)) == date(2025, 1, 1)
    assert month_name(date(2024, 2, 29)) == "2024-02"
