"""When a month is over."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendar import epoch_us, locate, moment_of
from stream_jobs.month_close.over import unfinished, unfinished_anywhere

ZONES = sorted(available_timezones())
MONTHS = st.dates(date(1970, 1, 1), date(2149, 5, 1)).map(lambda d: d.replace(day=1))


def ms(*at: int, zone: str = "UTC") -> int:
    return epoch_us(datetime(*at, tzinfo=ZoneInfo(zone))) // 1000  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("zone", "end"),
    [
        ("Asia/Tokyo", (2026, 10, 31, 15, 0)),
        ("Europe/Berlin", (2026, 10, 31, 23, 0)),  # winter time since the 25th
        ("America/New_York", (2026, 11, 1, 4, 0)),  # still summer time
        ("Pacific/Kiritimati", (2026, 10, 31, 10, 0)),
    ],
)
def test_a_month_ends_in_its_zone_to_the_millisecond(zone: str, end: tuple[int, ...]) -> None:
    october, at = date(2026, 10, 1), ms(*end)
    assert unfinished(october, [zone], at) is None
    said = unfinished(october, [zone], at - 1)
    assert said is not None
    assert f"month 2026-10 is not over in {zone} until 2026-11-01 00:00" in said


def test_february_of_a_leap_year() -> None:
    assert unfinished(date(2028, 2, 1), ["Asia/Tokyo"], ms(2028, 2, 29, 23, 59, 59, zone="Asia/Tokyo"))
    assert unfinished(date(2028, 2, 1), ["Asia/Tokyo"], ms(2028, 3, 1, zone="Asia/Tokyo")) is None


def test_must_be_over_in_every_zone_that_holds_somewhere() -> None:
    at = ms(2026, 10, 31, 15, 0)
    assert unfinished(date(2026, 10, 1), ["Asia/Tokyo", "Pacific/Honolulu"], at)
    assert "Pacific/Honolulu" in str(unfinished(date(2026, 10, 1), ["Asia/Tokyo", "Pacific/Honolulu"], at))


@given(MONTHS, st.sampled_from(ZONES), st.integers(-2 * 86_400_000, 2 * 86_400_000))
def test_over_means_that_no_later_instant_falls_in_the_month(month: date, zone: str, near: int) -> None:
    following = (month.replace(day=28) + (date(2000, 1, 5) - date(2000, 1, 1))).replace(day=1)
    at = ms(*following.timetuple()[:3]) + near
    over = unfinished(month, [zone], at) is None
    assert over == (locate(at * 1000, ZoneInfo(zone))[0] > month)
    if unfinished_anywhere(month, at):
        assert not over  # what is refused before the zone is known, the zone refuses as well


def test_the_sentence_names_the_append_time() -> None:
    said = unfinished_anywhere(date(2026, 12, 1), epoch_us(datetime(2026, 11, 22, 13, tzinfo=UTC)) // 1000)
    assert said is not None
    assert "month 2026-12 is not over" in said
    assert "2026-11-22 13:00Z" in said
    assert moment_of(0) == datetime(1970, 1, 1, tzinfo=UTC)
