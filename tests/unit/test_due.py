"""The day on which a report is due, and the instants that go with it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import CheckFailed, ConfigurationError
from schemas.report import Due
from stream_jobs.month_close.agreements import contract_in
from stream_jobs.month_close.due import due_moment, due_of, settled_moment, working
from tests.unit.report_basis import agreement, catalogue, rule


def due(month: date, zone: str = "Asia/Tokyo", *rules: dict[str, Any], **more: Any) -> Due:
    held = catalogue(rules=rules, zone=zone, **more)
    return due_of(held, contract_in(held, "east", month), month)


def test_without_a_rule_the_programme_says_the_day_whatever_weekday_it_is() -> None:
    said = due(date(2026, 9, 1))
    assert (said.day, said.time_zone, said.rule) == (date(2026, 10, 10), "Asia/Tokyo", None)
    assert said.day.weekday() == 5


@pytest.mark.parametrize(
    ("zone", "country", "weekend", "month", "day"),
    [
        # Saturday the 10th; the Monday after is Japan's Sports Day.
        ("Asia/Tokyo", "JP", "as-is", date(2026, 9, 1), date(2026, 10, 10)),
        ("Asia/Tokyo", "JP", "before", date(2026, 9, 1), date(2026, 10, 9)),
        ("Asia/Tokyo", None, "after", date(2026, 9, 1), date(2026, 10, 12)),
        ("Asia/Tokyo", "JP", "after", date(2026, 9, 1), date(2026, 10, 13)),
        # February: due on Tuesday 10 March; of January on 10 February, a Tuesday too.
        ("Europe/Amsterdam", "NL", "after", date(2026, 2, 1), date(2026, 3, 10)),
        ("Asia/Tokyo", "JP", "before", date(2026, 1, 1), date(2026, 2, 10)),
        # December: the next year's January, on Sunday the 10th.
        ("Europe/Amsterdam", "NL", "before", date(2026, 12, 1), date(2027, 1, 8)),
        ("Europe/Amsterdam", "NL", "after", date(2026, 12, 1), date(2027, 1, 11)),
        # Monday 11 January 2027 is Coming of Age Day.
        ("Asia/Tokyo", "JP", "after", date(2026, 12, 1), date(2027, 1, 12)),
        # Saturday 10 October 2026, then Columbus Day.
        ("America/New_York", "US", "after", date(2026, 9, 1), date(2026, 10, 13)),
        ("America/New_York", "US", "before", date(2026, 9, 1), date(2026, 10, 9)),
    ],
)
def test_weekends_and_holidays(zone: str, country: str | None, weekend: str, month: date, day: date) -> None:
    said = due(month, zone, rule("due_day", weekend=weekend, holidays=country))
    assert said.day == day
    assert said.rule is not None
    assert said.rule.id == "r-due_day"


def test_new_year_cannot_move_before_the_month_that_it_reports_is_over() -> None:
    # Friday 1 January 2027 is a holiday: before it lies December, which is what is reported.
    assert due(date(2026, 12, 1), "America/New_York", rule("due_day", day=1, weekend="before", holidays="US")).day == (
        date(2027, 1, 4)
    )


def test_a_rule_that_changes_leaves_the_months_before_it_alone() -> None:
    rules = [rule("due_day", "old", valid_to="2026-09", day=10), rule("due_day", "new", "2026-09", day=15)]
    assert due(date(2026, 8, 1), "Asia/Tokyo", *rules).day == date(2026, 9, 10)
    assert due(date(2026, 9, 1), "Asia/Tokyo", *rules).day == date(2026, 10, 15)


def test_an_entry_of_the_programme_goes_before_one_of_all() -> None:
    rules = [rule("due_day", "all", day=5), rule("due_day", "own", day=7, programme="csp")]
    assert due(date(2026, 8, 1), "Asia/Tokyo", *rules).day == date(2026, 9, 7)


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("Asia/Tokyo", datetime(2026, 11, 10, 15, tzinfo=UTC)),
        ("Europe/Amsterdam", datetime(2026, 11, 10, 23, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 11, 5, tzinfo=UTC)),
    ],
)
def test_late_from_the_end_of_the_day_in_the_zone(zone: str, moment: datetime) -> None:
    assert due_moment(due(date(2026, 10, 1), zone)) == moment


@pytest.mark.parametrize(
    ("zone", "month", "moment"),
    [
        ("Asia/Tokyo", date(2028, 2, 1), datetime(2028, 3, 3, 15, tzinfo=UTC)),
        ("Europe/Amsterdam", date(2026, 12, 1), datetime(2027, 1, 3, 23, tzinfo=UTC)),
        ("America/New_York", date(2026, 10, 1), datetime(2026, 11, 4, 5, tzinfo=UTC)),  # clocks went back on the 1st
    ],
)
def test_settled_after_whole_days_of_the_zone(zone: str, month: date, moment: datetime) -> None:
    held = catalogue(zone=zone)
    assert settled_moment(held, contract_in(held, "east", month), month) == moment


@given(
    st.dates(date(2000, 1, 1), date(2060, 1, 1)), st.integers(1, 28), st.sampled_from(["before", "after"]),
    st.sampled_from([None, "JP", "NL", "US", "DE-BY"]), st.sampled_from(["Asia/Tokyo", "America/New_York"]),
)  # fmt: skip
def test_it_is_the_nearest_working_day_on_its_side(
    some: date, day: int, weekend: str, country: str | None, zone: str
) -> None:
    month = some.replace(day=1)
    said = due(month, zone, rule("due_day", "r", "2000-01", day=day, weekend=weekend, holidays=country))
    nominal = (month + timedelta(days=31)).replace(day=day)
    assert working(said.day, country)
    low, high = sorted((said.day, nominal))
    between = [low + timedelta(days=n) for n in range((high - low).days + 1) if low + timedelta(days=n) != said.day]
    assert not any(working(one, country) for one in between)
    if weekend == "after":
        assert said.day >= nominal
    else:
        assert said.day <= nominal or not any(working(nominal.replace(day=n), country) for n in range(1, day + 1))
    assert due_moment(said).astimezone(ZoneInfo(zone)).date() == said.day + timedelta(days=1)


def test_an_unknown_country_is_told_with_the_cure() -> None:
    with pytest.raises(ConfigurationError, match=r"'XX'.*write a code such as JP"):
        due(date(2026, 9, 1), "Asia/Tokyo", rule("due_day", weekend="after", holidays="XX"))


def test_a_programme_that_was_taken_out_is_told_of() -> None:
    held = catalogue(agreements=[agreement(programme="gone")])
    with pytest.raises(CheckFailed, match="no programme gone"):
        due_of(held, held.agreements[0], date(2026, 9, 1))
