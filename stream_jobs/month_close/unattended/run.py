"""A run of the month end: what is due is done, step by step; what fails keeps nothing else from being tried.

It may be killed at any point and run again, and two may run at once: each step is done by whoever writes its entry in
the ledger first, and the other one sees that it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import OutOfReach, RollcallError
from schemas.settings import Settings
from stream_jobs.month_close.erased_names import erased_names
from stream_jobs.month_close.unattended.outcome import Outcome, Said
from stream_jobs.month_close.unattended.picture import Picture, read
from stream_jobs.month_close.unattended.plan import NOTICES, Matter, Step, notice_key
from stream_jobs.month_close.unattended.steps import Done, Steps

Tell = Callable[[str], None]


class MonthEnd:
    """One Rollcall's month ends. What is read is kept until something was done: `look` has it read anew."""

    def __init__(self, settings: Settings, client: Client, steps: Steps, tell: Tell) -> None:
        self._settings, self._client, self._steps, self._tell = settings, client, steps, tell
        self._picture: Picture | None = None
        self._unfit: dict[str, str] = {}
        """By draft (its SHA-256), why it was not approved automatically: that does not change with time."""
        self._idle: set[str] = set()
        """Marks of steps that found nothing to do."""

    def look(self) -> None:
        """Forgets what was read, since something was done."""
        self._picture = None

    def run(self, at: datetime, *, agreement: str | None = None, dry_run: bool = False) -> Outcome:
        """Does everything that is due at this moment (aware), of one agreement or of all. Raises nothing foreseen."""
        outcome = Outcome(at, dry_run)
        try:
            self._run(at, agreement, outcome)
        except OutOfReach as error:
            outcome.unreachable = True
            outcome.failed.append(Said("", "", "read", str(error)))
        except RollcallError as error:
            outcome.failed.append(Said("", "", "read", str(error)))
        return outcome

    def _run(self, at: datetime, agreement: str | None, outcome: Outcome) -> None:
        tried: set[str] = set()
        while found := self._next(at, agreement, tried):
            matter, step = found
            tried.add(_mark(matter, step))
            if outcome.dry_run:
                outcome.done.append(Said.of(matter, step.kind, step.why))
            else:
                self._do(at, matter, step, outcome)
        for matter in self._matters(at, agreement):
            if matter.overdue(at):
                outcome.overdue.append(Said.of(matter, "", f"it was due on {matter.owed.due}"))
            if wait := matter.wait(at):
                (outcome.needed if wait.needed else outcome.waiting).append(Said.of(matter, "", wait.what))
        outcome.failed += [Said(key[0], f"{key[1]:%Y-%m}", "read", why) for key, why in self._seen().troubles.items()]

    def _next(self, at: datetime, agreement: str | None, tried: set[str]) -> tuple[Matter, Step] | None:
        for matter in self._matters(at, agreement):
            for step in matter.steps(at):
                if (mark := _mark(matter, step)) not in tried and mark not in self._idle:
                    return matter, step
        return None

    def _do(self, at: datetime, matter: Matter, step: Step, outcome: Outcome) -> None:
        self._tell(f"{Said.of(matter, '', '').report}: {step.kind}: {step.why}")
        self.look()
        try:
            done = self._steps.do(at, matter, step)
        except RollcallError as error:
            outcome.unreachable = outcome.unreachable or isinstance(error, OutOfReach)
            if isinstance(error, OutOfReach) or self._still(at, matter, step):
                outcome.failed.append(Said.of(matter, step.kind, str(error)))
                self._alert(at, matter, step, error)
            else:
                self._tell(f"somebody else has done it: {error}")
            return
        self._remember(matter, step, done)
        if done.note:
            outcome.done.append(Said.of(matter, step.kind, done.note))

    def _alert(self, at: datetime, matter: Matter, step: Step, error: RollcallError) -> None:
        """Tells people once a day what failed; that this fails too is no news."""
        alert = Step("alert", f"{step.kind} {matter.owed.day(at)}", f"{step.kind} failed: {error}")
        if step.kind in NOTICES or notice_key(alert.kind, alert.mark) in matter.life.notified:
            return
        try:
            self._steps.do(at, matter, alert)
        except RollcallError as failed:
            self._tell(str(failed))

    def _remember(self, matter: Matter, step: Step, done: Done) -> None:
        if done.unfit and matter.life.newest:
            self._unfit[matter.life.newest.report] = done.unfit
        elif not done.note and not step.close:
            self._idle.add(_mark(matter, step))

    def _still(self, at: datetime, matter: Matter, step: Step) -> bool:
        """Whether a step that failed is due all the same: nobody else did it in the meantime."""
        mark = _mark(matter, step)
        return any(_mark(m, s) == mark for m in self._matters(at, matter.owed.agreement.id) for s in m.steps(at))

    def _matters(self, at: datetime, agreement: str | None) -> list[Matter]:
        found = []
        for matter in self._seen().matters(at):
            newest = matter.life.newest
            if agreement is None or agreement == matter.owed.agreement.id:
                found.append(replace(matter, unfit=self._unfit.get(newest.report)) if newest else matter)
        return found

    def _seen(self) -> Picture:
        if self._picture is None:
            with explained(self._settings.clickhouse):
                self._picture = read(self._client, erased_names(self._settings, self._client))
        return self._picture


def month_end_of(settings: Settings, client: Client, *, drain: bool = False, tell: Tell) -> MonthEnd:
    """With everything that its steps need; `drain` runs a worker for each close, which else waits for one that runs."""
    return MonthEnd(settings, client, Steps(settings, client, drain=drain, tell=tell), tell)


def _mark(matter: Matter, step: Step) -> str:
    return f"{step.kind} {matter.owed.agreement.id} {matter.owed.month:%Y-%m} {step.mark}"
