"""When a month's report is due, and when its late events have had their time. Pure: calendars, no clock.

The due day is one of the following month, in the programme's zone (CSP-21). By the rule entry `due_day` that covers
the month; without one, by the programme's `report_due_day`, whatever weekday that is.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

from infra.errors import CheckFailed, ConfigurationError
from schemas.agreement import Agreement
from schemas.calendar import day_start, moment_of, next_month, zone_named
from schemas.catalogue import Catalogue, Programme, rules_in_force
from schemas.report import Due, RuleCited
from schemas.rules import DueDayRule

_DAY = timedelta(days=1)
_SATURDAY = 5


def due_of(catalogue: Catalogue, agreement: Agreement, month: date) -> Due:
    """The due day of the month's report. An entry of the agreement's programme goes before one of every programme."""
    programme = _programme(catalogue, agreement)
    following = next_month(month)
    rules = [r for r in rules_in_force(catalogue, agreement.programme, month) if isinstance(r, DueDayRule)]
    if not rules:
        return Due(day=following.replace(day=programme.report_due_day), time_zone=programme.time_zone)
    rule = min(rules, key=lambda r: r.programme is None)
    return Due(
        day=_moved(following.replace(day=rule.day), rule), time_zone=programme.time_zone,
        rule=RuleCited(id=rule.id, source=rule.source),
    )  # fmt: skip


def due_moment(due: Due) -> datetime:
    """The first instant at which the report is late: the end of the due day in its zone; aware, in UTC."""
    return moment_of(day_start(due.day + _DAY, zone_named(due.time_zone)))


def settled_moment(catalogue: Catalogue, agreement: Agreement, month: date) -> datetime:
    """When late events of the month have had the programme's `settle_days`: whole days of its zone; aware, in UTC."""
    programme = _programme(catalogue, agreement)
    settled = next_month(month) + timedelta(days=programme.settle_days)
    return moment_of(day_start(settled, zone_named(programme.time_zone)))


def working(day: date, country: str | None) -> bool:
    """Neither Saturday nor Sunday nor, where a country is given, one of its public holidays.

    `country` is an ISO 3166 code, or one with a subdivision such as DE-BY. Raises ConfigurationError when the
    calendar does not know it.
    """
    return day.weekday() < _SATURDAY and (country is None or day not in _holidays(country, day.year))


def _moved(day: date, rule: DueDayRule) -> date:
    """The working day before or after, as the rule says; never before its month, since what is due is not over then."""
    if rule.weekend == "as-is":
        return day
    step = _DAY if rule.weekend == "after" else -_DAY
    first, found = day.replace(day=1), day
    while not working(found, rule.holidays):
        if found == first and step < timedelta():
            step, found = _DAY, day
        else:
            found += step
    return found


@lru_cache(maxsize=256)
def _holidays(country: str, year: int) -> frozenset[date]:
    import holidays  # loads calendars, which few months need

    code, _, subdivision = country.partition("-")
    try:
        return frozenset(holidays.country_holidays(code, subdiv=subdivision or None, years=year))
    except NotImplementedError as error:
        raise ConfigurationError(
            f"the due day's rule asks for the holidays of {country!r}: {error}; write a code such as JP, NL or DE-BY, "
            "or leave holidays out"
        ) from None


def _programme(catalogue: Catalogue, agreement: Agreement) -> Programme:
    programme = catalogue.programmes.get(agreement.programme)
    if programme is None:
        raise CheckFailed(
            f"the catalogue has no programme {agreement.programme}, of which {agreement.id} has still to report: add "
            "it back, then `rollcall catalogue apply`"
        )
    return programme
