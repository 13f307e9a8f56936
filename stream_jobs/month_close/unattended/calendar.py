"""Which reports are owed by when: every agreement's months, with the moments that decide about them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from schemas.agreement import Agreement
from schemas.calendar import moment_of, month_interval, next_month, zone_named
from schemas.catalogue import Catalogue
from stream_jobs.month_close.agreements import begins, contracts_in, of_programme
from stream_jobs.month_close.due import due_moment, due_of, settled_moment

_FIRST_ZONE = timedelta(hours=14)
"""No month is over anywhere before it is in the zone where days begin first."""


@dataclass(frozen=True)
class Owed:
    """One report that has to be made. Moments are aware, in UTC; days are those of the programme's zone."""

    agreement: Agreement
    month: date
    time_zone: str
    over: datetime
    """The month's end."""
    settled: datetime
    """Its late events have had their days: it may be closed."""
    due: date
    late: datetime
    """The end of the due day."""

    def day(self, moment: datetime) -> date:
        """The day that it is where the programme is."""
        return moment.astimezone(zone_named(self.time_zone)).date()


class Calendar:
    """The reports of one catalogue.

    `loose` has, by programme, the months in which it has logins that no agreement covers: they are reported under
    the programme's own id. A programme without agreements reports every month from the first of those on; an
    agreement does so from its own first month on, with or without logins.
    """

    def __init__(self, catalogue: Catalogue, loose: Mapping[str, Collection[date]]) -> None:
        self._catalogue, self._loose = catalogue, loose
        self._known: dict[date, list[Owed]] = {}

    def owed(self, now: datetime) -> Iterator[Owed]:
        """The reports of every month that is over at this moment, the oldest first, then by agreement."""
        month = self._first_month()
        while month is not None and next_month(month) <= (now + _FIRST_ZONE).date():
            yield from (one for one in self._of(month) if one.over <= now)
            month = next_month(month)

    def one(self, agreement: Agreement, month: date) -> Owed:
        """One report. Raises CheckFailed when the catalogue does not have the agreement's programme."""
        due = due_of(self._catalogue, agreement, month)
        over = moment_of(month_interval(month, zone_named(due.time_zone))[1])
        settled = settled_moment(self._catalogue, agreement, month)
        return Owed(agreement, month, due.time_zone, over, settled, due.day, due_moment(due))

    def _of(self, month: date) -> list[Owed]:
        if month not in self._known:
            held = {a.id: a for a in contracts_in(self._catalogue, month)}
            for programme, months in self._loose.items():
                if month in months:
                    held.setdefault(programme, of_programme(programme))
            ids = sorted(id for id in held if id not in self._catalogue.programmes or month >= self._first(id))
            self._known[month] = [self.one(held[id], month) for id in ids]
        return self._known[month]

    def _first(self, programme: str) -> date:
        return min(self._loose.get(programme, ()), default=date.max)

    def _first_month(self) -> date | None:
        known = [begins(agreement) for agreement in self._catalogue.agreements]
        return min([*known, *(month for months in self._loose.values() for month in months)], default=None)
