"""What people do in the year: approvers on time, late and too late, a distributor that refuses, somebody who adjusts.

Every act is on an hour of the clock. The oracle is told when each revision was approved, and nothing else.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.year.oracle import Oracle, Signed
from tests.year.provider import CORRECTED, MONTHS, REJECTED, SIDES, YEAR, Side, month_end

LATE = ("us-2024", date(YEAR, 10, 1))
"""Approved on its due day: reminders and escalations went out."""
TOO_LATE = ("nl-2024", date(YEAR, 11, 1))
"""Approved two days after its due day: it was overdue."""
AUTOMATIC = "jp-2024"
"""Approves itself, except its first report, which has none before it."""
ADJUSTED = Signed("t20", "NL-DAAS-PREM", -1)


class Approval(NamedTuple):
    agreement: str
    month: date
    revision: int
    hour: datetime
    person: bool


class Plan(NamedTuple):
    """The hours at which people act, and at which each revision must have been approved and sent."""

    approvals: list[Approval]
    rejected: datetime
    adjusted: datetime


def plan(oracle: Oracle) -> Plan:
    approvals = []
    for side in SIDES:
        for month in MONTHS:
            settled = oracle.settled(side.id, month)
            person = side.id != AUTOMATIC or month == MONTHS[0]
            approvals.append(Approval(side.id, month, 1, _desk(oracle, side, month) if person else settled, person))
    [nl] = [side for side in SIDES if side.id == REJECTED[0]]
    first = _at(nl, oracle.settled(*REJECTED), 2, 10)
    rejected, adjusted = first + timedelta(hours=20), first + timedelta(hours=23)
    approvals.append(Approval(*REJECTED, 2, adjusted + timedelta(hours=3), True))
    [jp] = [side for side in SIDES if side.id == CORRECTED[0]]
    approvals.append(Approval(*CORRECTED, 2, month_end(CORRECTED[1], jp.zone) + timedelta(days=20, hours=7), False))
    return Plan(approvals, rejected, adjusted)


def _desk(oracle: Oracle, side: Side, month: date) -> datetime:
    """When the approver gets to it."""
    due = datetime.combine(oracle.due(side.programme, month), datetime.min.time(), ZoneInfo(side.zone))
    if (side.id, month) == LATE:
        return _at(side, due.astimezone(UTC), 0, 9)
    if (side.id, month) == TOO_LATE:
        return _at(side, due.astimezone(UTC), 2, 10)
    return _at(side, oracle.settled(side.id, month), 2, 10)


def _at(side: Side, moment: datetime, days: int, hour: int) -> datetime:
    day = moment.astimezone(ZoneInfo(side.zone)).date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(side.zone)).astimezone(UTC)
