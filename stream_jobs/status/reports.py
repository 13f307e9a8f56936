"""The reports that are owed and not finished, with their days to the deadline."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from schemas.settings import Settings
from stream_jobs.month_close.erased_names import erased_names
from stream_jobs.month_close.unattended.picture import read


class ReportDue(NamedTuple):
    """`days` until it is due, in the programme's zone; below 0 it is overdue. None: the distributor holds one."""

    agreement: str
    month: date
    state: str
    """Of the newest revision: open (nothing is drafted), draft, approved, submitted, acknowledged, rejected."""
    due: date
    days: int | None
    waits_for: str


def read_reports(settings: Settings, client: Client, now: datetime) -> list[ReportDue]:
    """The oldest month first. Raises the driver's errors, and RollcallError when the books do not agree."""
    found = []
    for matter in read(client, erased_names(settings, client)).matters(now):
        owed, newest, wait = matter.owed, matter.life.newest, matter.wait(now)
        days = None if matter.life.sent is not None else (owed.due - owed.day(now)).days
        state = "open" if newest is None else newest.state
        found.append(ReportDue(
            owed.agreement.id, owed.month, state, owed.due, days, "" if wait is None else wait.what
        ))  # fmt: skip
    return found
