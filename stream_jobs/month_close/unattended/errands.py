"""What goes out of the house: reports, questions for receipts, notices to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed
from schemas.calendar import month_name
from schemas.ledger import Notified
from schemas.settings import Settings
from stream_jobs.month_close.notices import notice
from stream_jobs.month_close.notices.tell import notify
from stream_jobs.month_close.report.act import record
from stream_jobs.month_close.report.approve import AUTOMATIC
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.submit.answers import poll_receipts
from stream_jobs.month_close.submit.desk import submit
from stream_jobs.month_close.unattended.plan import Kind, Matter, Step, notice_key

_KINDS: Mapping[Kind, notice.Kind] = {
    "remind": "reminder", "escalate": "escalation", "overdue": "overdue", "alert": "failure",
}  # fmt: skip


class Errands:
    """Each returns the operator's sentence, empty when there was nothing to do."""

    def __init__(self, settings: Settings, client: Client, tell: Callable[[str], None]) -> None:
        self._settings, self._client, self._tell = settings, client, tell

    def submit(self, at: datetime, matter: Matter) -> str:
        """Sends the approved revision. Raises CheckFailed when it did not arrive, or nobody knows."""
        month, id = matter.owed.month, matter.owed.agreement.id
        outcome = submit(self._settings, self._client, month, id, actor=AUTOMATIC, at=at, tell=self._tell)
        if outcome.result == "accepted":
            return f"sent: {outcome.note}"
        name = f"{month_name(month)} --agreement {id}"
        cure = "the next run tries again" if outcome.result == "failed" else f"see `rollcall report history {name}`"
        raise CheckFailed(f"the attempt ended {outcome.result}: {outcome.note}; {cure}")

    def poll(self, at: datetime, matter: Matter) -> str:
        """Asks for the receipt of what was sent, and records it."""
        month, id = matter.owed.month, matter.owed.agreement.id
        found = poll_receipts(self._settings, self._client, month, id, actor=AUTOMATIC, at=at, tell=self._tell)
        return f"the receipt of revision {', '.join(map(str, found))} is recorded" if found else ""

    def notify(self, at: datetime, matter: Matter, step: Step) -> str:
        """Tells the people whom the step is for, and writes down that they were told.

        Raises CheckFailed when nobody could be told. Where nobody is to be told, nothing is done.
        """
        agreement, newest = matter.owed.agreement, matter.life.newest
        if not agreement.contacts and agreement.reminders.webhook is None:
            return ""
        occasion = notice.Notice(
            kind=_KINDS[step.kind], key=notice_key(step.kind, step.mark), month=matter.owed.month,
            state=matter.life.state, due=matter.owed.due, revision=newest.number if newest else 0, why=step.why,
        )  # fmt: skip
        refused: list[str] = []
        reached = notify(self._settings, agreement, occasion, tell=refused.append)
        for sentence in refused:
            self._tell(sentence)
        if not reached:
            raise CheckFailed(f"nobody could be told: {'; '.join(refused)}")
        act = Notified(kind=occasion.kind, key=occasion.key, to=reached)
        with explained(self._settings.clickhouse):
            ledger = Ledger(self._client, agreement.id, matter.owed.month)
            record(ledger, act, actor=AUTOMATIC, at=at, agreement=agreement)
        return f"told {', '.join(reached)}"
