"""How each step is done: by the close, the drafting, the approval, the submission and the notices of everybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed
from schemas.settings import Settings
from stream_jobs.month_close.close import close_month
from stream_jobs.month_close.report.approve import AUTOMATIC, approve_automatically
from stream_jobs.month_close.report.draft import draft, summary
from stream_jobs.month_close.unattended.errands import Errands
from stream_jobs.month_close.unattended.plan import Matter, Step


class Done(NamedTuple):
    """What came of a step: the operator's sentence, empty when there was nothing to do.

    `unfit`: why a person has to approve the draft after all.
    """

    note: str = ""
    unfit: str = ""


class Steps:
    def __init__(self, settings: Settings, client: Client, *, drain: bool, tell: Callable[[str], None]) -> None:
        self._settings, self._client, self._drain, self._tell = settings, client, drain, tell
        self._errands = Errands(settings, client, tell)

    def do(self, at: datetime, matter: Matter, step: Step) -> Done:
        """Does it, or finds that it is done. Raises RollcallError: not done, and nothing half done that matters."""
        match step.kind:
            case "draft" | "recount" | "correct":
                return self._draft(at, matter, step)
            case "approve":
                return self._approve(at, matter)
            case "submit":
                return Done(self._errands.submit(at, matter))
            case "poll":
                return Done(self._errands.poll(at, matter))
            case "remind" | "escalate" | "overdue" | "alert":
                return Done(self._errands.notify(at, matter, step))

    def _draft(self, at: datetime, matter: Matter, step: Step) -> Done:
        month, id, newest = matter.owed.month, matter.owed.agreement.id, matter.life.newest
        if step.close:
            close_month(self._settings, month, agreement=id, drain=self._drain, tell=self._tell)
        made = draft(self._settings, self._client, month, id, actor=AUTOMATIC, at=at)
        same = newest is not None and newest.report == made.sha256
        return Done() if same else Done(summary(made))

    def _approve(self, at: datetime, matter: Matter) -> Done:
        month, id = matter.owed.month, matter.owed.agreement.id
        try:
            reasons = approve_automatically(self._settings, self._client, month, id, at=at)
        except CheckFailed as error:
            reasons = [str(error)]
        return Done(unfit="; ".join(reasons)) if reasons else Done("approved automatically")
