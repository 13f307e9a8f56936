"""What people do in the year: approvers on time, late and too late, somebody who adjusts, somebody who asks.

Every act is on an hour of the clock. The oracle is told when each revision was approved, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client

from schemas.settings import Settings
from stream_jobs.month_close.report.act import adjust
from stream_jobs.month_close.report.approve import approve
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.submit.answers import receive, resolve
from stream_jobs.month_close.submit.transport import Receipt
from tests.year.distributor import Distributors
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
    """The hours at which people act, and at which each revision must have been approved."""

    approvals: list[Approval]
    adjusted: datetime


def plan(oracle: Oracle) -> Plan:
    approvals = []
    for side in SIDES:
        for month in MONTHS:
            settled = oracle.settled(side.id, month)
            person = side.id != AUTOMATIC or month == MONTHS[0]
            approvals.append(Approval(side.id, month, 1, _desk(oracle, side, month) if person else settled, person))
    [nl] = [side for side in SIDES if side.id == REJECTED[0]]
    adjusted = _at(nl, oracle.settled(*REJECTED), 3, 9)
    approvals.append(Approval(*REJECTED, 2, adjusted + timedelta(hours=3), True))
    [jp] = [side for side in SIDES if side.id == CORRECTED[0]]
    approvals.append(Approval(*CORRECTED, 2, month_end(CORRECTED[1], jp.zone) + timedelta(days=20, hours=7), False))
    return Plan(approvals, adjusted)


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


class People:
    """`key` is the approver's SSH key. Whoever approves is another account than `month-end`, which prepared."""

    def __init__(self, settings: Settings, client: Client, distributors: Distributors, key: Path) -> None:
        self._settings, self._client, self._distributors, self._key = settings, client, distributors, key

    def acts(self, plan: Plan) -> Iterator[tuple[datetime, Callable[[datetime], None]]]:
        for a in plan.approvals:
            if a.person:
                yield a.hour, partial(self.approve, a.agreement, a.month)
            if a.agreement == AUTOMATIC:  # a folder answers nobody: the receipt comes by post
                yield a.hour + timedelta(hours=30), partial(self.receive, a.agreement, a.month)
        yield plan.adjusted, self.adjust

    def approve(self, agreement: str, month: date, at: datetime) -> None:
        signed = self._key if agreement == REJECTED[0] else None
        approve(self._settings, self._client, month, agreement, at=at, sign_with=signed)

    def adjust(self, at: datetime) -> None:
        """What the distributor refused is mended, which makes the next revision's draft."""
        agreement, month = REJECTED
        adjust(
            self._settings, self._client, month, agreement, **ADJUSTED._asdict(), reason="credit",
            text="left in May", actor="preparer", at=at,
        )  # fmt: skip

    def receive(self, agreement: str, month: date, at: datetime) -> None:
        answer = Receipt("accepted", f"R-{month:%Y-%m}")
        receive(self._settings, self._client, month, agreement, answer, actor="clerk", at=at)

    def resolve(self, at: datetime, agreement: str, month: date) -> None:
        """Asks the distributor whether the mail came."""
        newest = Ledger(self._client, agreement, month).life().newest
        assert newest is not None
        arrived = self._distributors.has_mail(newest.attempts[-1].key)
        resolve(
            self._settings, self._client, month, agreement, arrived=arrived, note="asked the distributor",
            actor="clerk", at=at,
        )  # fmt: skip
