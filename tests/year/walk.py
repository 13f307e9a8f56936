"""The walk: every hour of the year, what arrived, what people did, and what the month end did about it.

Every hour is planned in this process. Where something is due, a command is killed with -9 somewhere in the middle, and
then the rest is done: by the command again, or in this process, by turns.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from schemas.ledger import Acknowledged, Rejected
from stream_jobs.month_close.report.act import adjust, record
from stream_jobs.month_close.report.approve import approve
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.unattended.run import MonthEnd
from tests.year.commands import KILLED, Commands
from tests.year.people import ADJUSTED, Plan
from tests.year.provider import BEGIN, END, REJECTED, Arrival
from tests.year.world import World

HOUR = timedelta(hours=1)
KILL_WITHIN = 1.2
"""Seconds: a command that closes, drafts, approves and sends takes about so long."""


@dataclass
class Journal:
    """What happened, for the test to look at."""

    hours: int = 0
    busy: int = 0
    killed: int = 0
    overdue: set[tuple[str, str]] = field(default_factory=set)
    """(agreement, hour) at which the command said so."""
    steps: Counter[str] = field(default_factory=Counter)


class Walk:
    def __init__(
        self, world: World, month_end: MonthEnd, commands: Commands, plan: Plan, key: Path, rng: random.Random
    ) -> None:
        self._world, self._month_end, self._commands, self._rng = world, month_end, commands, rng
        self._key = key
        self._acts = self._of(plan)
        self.journal = Journal()

    def go(self, arrivals: Iterable[Arrival]) -> None:
        coming: dict[datetime, list[Arrival]] = defaultdict(list)
        for arrival in arrivals:
            coming[arrival.hour].append(arrival)
        hour = BEGIN
        while hour < END:
            for arrival in coming.pop(hour, ()):
                self._world.push(arrival.logins)
                if arrival.behind:  # a close waits for the worker; what comes behind it is seen when it is stored
                    self._world.wait()
                    self._month_end.look()
            for act in self._acts.pop(hour, ()):
                act(hour)
                self._month_end.look()
            self._hour(hour)
            hour += HOUR
        assert not coming
        assert not self._acts

    def _hour(self, hour: datetime) -> None:
        journal = self.journal
        journal.hours += 1
        due = self._month_end.run(hour, dry_run=True)
        if not due.done:
            return
        journal.busy += 1
        journal.steps.update(said.step for said in due.done)
        arguments = ("month-end", "--at", hour.isoformat(), "--format", "json")
        if self._rng.random() < 0.8:
            ran = self._commands.run(*arguments, kill_after=self._rng.uniform(0.01, KILL_WITHIN))
            journal.killed += ran.code == KILLED
            assert ran.code in (0, 1, KILLED), ran.err
        self._month_end.look()
        if journal.busy % 3 == 0:
            outcome = self._month_end.run(hour)
            assert not outcome.failed, outcome.failed
        else:
            ran = self._commands.run(*arguments)
            assert ran.code == ran.line["exit"], ran.err
            assert ran.line["failed"] == [], ran.err
            journal.overdue |= {(said["agreement"], hour.isoformat()) for said in ran.line["overdue"]}
            self._month_end.look()
        again = self._month_end.run(hour)
        assert (again.done, again.failed) == ([], []), "nothing is done twice"

    # What people do

    def _of(self, plan: Plan) -> dict[datetime, list[Callable[[datetime], None]]]:
        acts: dict[datetime, list[Callable[[datetime], None]]] = defaultdict(list)
        for approval in plan.approvals:
            if approval.person:
                acts[approval.hour].append(lambda at, a=approval: self._approve(at, a.agreement, a.month))  # type: ignore[misc]
            if (approval.agreement, approval.month) != REJECTED:
                receipt = lambda at, a=approval: self._acknowledge(at, a.agreement, a.month, a.revision)  # noqa: E731
                acts[approval.hour + 30 * HOUR].append(receipt)
        acts[plan.rejected].append(self._reject)
        acts[plan.adjusted].append(self._adjust)
        return acts

    def _approve(self, at: datetime, agreement: str, month: date) -> None:
        signed = self._key if agreement.startswith("nl") else None
        approve(self._world.settings, self._world.client, month, agreement, at=at, sign_with=signed)

    def _acknowledge(self, at: datetime, agreement: str, month: date, revision: int) -> None:
        self._record(at, agreement, month, Acknowledged(revision=revision, receipt=f"R-{agreement}-{month}-{revision}"))

    def _reject(self, at: datetime) -> None:
        self._record(at, *REJECTED, Rejected(revision=1, receipt="R-no", reason="one user left in May"))

    def _adjust(self, at: datetime) -> None:
        adjust(
            self._world.settings, self._world.client, REJECTED[1], REJECTED[0], **ADJUSTED._asdict(), reason="credit",
            text="left in May", actor="preparer", at=at,
        )  # fmt: skip

    def _record(self, at: datetime, agreement: str, month: date, act: Acknowledged | Rejected) -> None:
        client = self._world.client
        ledger = Ledger(client, agreement, month)
        agreed = agreement_now(client, agreement, month)
        record(ledger, act, actor="clerk", at=at, agreement=agreed)
