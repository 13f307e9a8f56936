"""What is due of a report now, and what it waits for. Pure: the moment, the ledger's life, the seals; no clock, no I/O.

Every step is idempotent and has a stable key: what was done once is seen in the ledger, so that the same plan made
again has it no more. What may be done once a day is so by the day of the programme's zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from schemas.calendar import month_name
from stream_jobs.month_close.report.life import Life, Revision
from stream_jobs.month_close.report.permitted import KEYED
from stream_jobs.month_close.unattended.calendar import Owed

Kind = Literal["draft", "recount", "correct", "approve", "submit", "poll", "remind", "escalate", "overdue", "alert"]

NOTICES: frozenset[Kind] = frozenset({"remind", "escalate", "overdue", "alert"})
"""Steps that only tell people."""
UNDER_WAY = timedelta(minutes=10)
"""An attempt that has not ended is somebody's at work for so long, and then nobody knows what became of it."""
CORRECTION_DAYS = 7
"""Days between two reminders of a correction, which has no due day."""


class Step(NamedTuple):
    """Something to do now. `close`: the month is counted again first; `why` is the operator's sentence."""

    kind: Kind
    mark: str
    """Which of its kind: the revision, the day, the attempt."""
    why: str
    close: bool = False


class Wait(NamedTuple):
    """What a report waits for; `needed`: a person is needed now."""

    what: str
    needed: bool = False


@dataclass(frozen=True)
class Matter:
    """A report that is owed, as it stands.

    `seal` is the number of its newest seal, made at `sealed_at`; `changed` says why the month would be counted
    otherwise now (the operator's sentence; empty while nothing came behind the seal). `unfit` says why the newest
    draft is not approved automatically; None where it may be, or nobody has tried.
    """

    owed: Owed
    life: Life
    seal: int = 0
    sealed_at: datetime | None = None
    changed: str = ""
    unfit: str | None = None

    @property
    def finished(self) -> bool:
        """Sent, nothing behind it, and no receipt is polled for: no moment changes that."""
        newest = self.life.newest
        return (
            newest is not None and newest.state in ("submitted", "acknowledged") and not self._more(newest)
            and not self._polled(newest)
        )  # fmt: skip

    def steps(self, now: datetime) -> Iterator[Step]:
        """What is due, in the order in which it is done; behind the first that changes the report, plan again."""
        newest = self.life.newest
        if newest is not None and newest.state == "approved":
            yield from self._submit(now, newest)
        if newest is not None and newest.state in ("submitted", "acknowledged"):
            yield from self._sent(now, newest)
        if now >= self.owed.settled:
            if newest is None:
                yield Step("draft", "r1", "the month is over and has settled", close=True)
            elif newest.state == "draft":
                yield from self._drafted(now, newest)
        yield from self._told(now, newest)

    def wait(self, now: datetime) -> Wait | None:
        """What is left to wait for once the steps are done; None when it is finished, or nothing is known to be."""
        newest = self.life.newest
        if newest is None:
            until = f"{self.owed.settled:%Y-%m-%d %H:%M}Z"
            return Wait(f"late events may come in until {until}" if now < self.owed.settled else "a draft")
        if stuck := self._stuck(now, newest):
            return Wait(stuck, needed=True)
        match newest.state:
            case "draft":
                return self._waiting_for_approval(now, newest)
            case "approved" if self._under_way(now, newest):
                return Wait("an attempt to send it is under way")
            case "approved" if self.owed.agreement.submission is None:
                return Wait("a person sends it and says so: the agreement has no submission", self._pressing(now))
            case "approved":
                return Wait("the submission has to succeed", self._pressing(now))
            case "submitted" if self._polled(newest):
                return Wait("the distributor's receipt")
        return None

    # Before it is sent

    def _drafted(self, now: datetime, newest: Revision) -> Iterator[Step]:
        if self.changed and self._another_day(now, newest):
            yield Step("recount", f"r{newest.number} {self.owed.day(now)}", self.changed, close=True)
        elif self.seal > newest.seal_revision:
            yield Step("recount", f"r{newest.number} seal {self.seal}", f"seal {self.seal} is newer than the draft")
        elif rows := self.life.pending:
            mark = f"r{newest.number} place {rows[-1].place}"
            yield Step("recount", mark, f"{rows[-1].actor} adjusted or waived something after the draft")
        elif self.owed.agreement.approval.automatic and not newest.returned_reason and self.unfit is None:
            yield Step("approve", f"r{newest.number} draft {newest.draft}", "it is within the limits of the agreement")

    def _submit(self, now: datetime, newest: Revision) -> Iterator[Step]:
        submission = self.owed.agreement.submission
        if submission is not None and self._sendable(newest) and not self._under_way(now, newest):
            # One attempt a run: the mark has no number of it.
            yield Step("submit", f"r{newest.number}", f"revision {newest.number} is approved, by {newest.approved_by}")

    def _sendable(self, newest: Revision) -> bool:
        """Whether another attempt may do no harm: the other side knows the key, or nothing is in doubt."""
        return not newest.unresolved or all(a.transport in KEYED for a in newest.attempts if a.open)

    def _under_way(self, now: datetime, newest: Revision) -> bool:
        return any(a.outcome == "running" and now < a.at + UNDER_WAY for a in newest.attempts)

    # After it was sent

    def _sent(self, now: datetime, newest: Revision) -> Iterator[Step]:
        if self._polled(newest):
            yield Step("poll", f"r{newest.number}", "the distributor's receipt is asked for")
        number = newest.number + 1
        if self.seal > newest.seal_revision:
            yield Step("correct", f"r{number} seal {self.seal}", f"seal {self.seal} is newer than what was sent")
        elif self.changed and self._another_day(now, newest):
            yield Step("correct", f"r{number} {self.owed.day(now)}", self.changed, close=True)

    def _another_day(self, now: datetime, newest: Revision) -> bool:
        """A month is counted again at most once a day. A seal's clock is the server's: it may be ahead of `now`."""
        ahead = self.sealed_at is None or self.sealed_at > now
        last = newest.prepared_at if ahead or self.sealed_at is None else max(newest.prepared_at, self.sealed_at)
        return self.owed.day(now) > self.owed.day(last)

    def _more(self, newest: Revision) -> bool:
        return bool(self.changed) or self.seal > newest.seal_revision

    def _polled(self, newest: Revision) -> bool:
        submission = self.owed.agreement.submission
        return (
            newest.state == "submitted" and submission is not None and submission.by == "https"
            and submission.receipts is not None
        )  # fmt: skip

    # People

    def _told(self, now: datetime, newest: Revision | None) -> Iterator[Step]:
        if newest is not None and (stuck := self._stuck(now, newest)):
            mark = f"r{newest.number} draft {newest.draft} attempt {len(newest.attempts)} {newest.state}"
            yield from self._once("alert", mark, stuck)
        if self.life.sent is not None:
            yield from self._correction_told(now, newest)
            return
        today, due = self.owed.day(now), self.owed.due
        reminders = self.owed.agreement.reminders
        if self.overdue(now):
            yield from self._once("overdue", f"{today}", f"it was due on {due} and is not sent")
            return
        if newest is None or newest.state not in ("draft", "approved", "rejected"):
            return
        left = (due - today).days
        stands = f"it is due on {due} and is {newest.state}"
        if left <= reminders.remind_days:
            yield from self._once("remind", f"r{newest.number} {today}", stands)
        if left <= reminders.escalate_days:
            yield from self._once("escalate", f"r{newest.number} {today}", stands)

    def _correction_told(self, now: datetime, newest: Revision | None) -> Iterator[Step]:
        if newest is None or newest.state not in ("draft", "approved"):
            return
        since = (self.owed.day(now) - self.owed.day(newest.opened_at)).days
        mark = f"r{newest.number} week {since // CORRECTION_DAYS}"
        yield from self._once("remind", mark, f"a correction of it is {newest.state} since {since} days")

    def _once(self, kind: Kind, mark: str, why: str) -> Iterator[Step]:
        if notice_key(kind, mark) not in self.life.notified:
            yield Step(kind, mark, why)

    def _stuck(self, now: datetime, newest: Revision) -> str:
        """Why nothing goes on without a person, whatever the day is; empty where something does."""
        if newest.state == "rejected":
            return (
                f"revision {newest.number} was rejected ({newest.rejected_reason}): mend it, then "
                f"`rollcall report draft {self._name}`"
            )
        if newest.state == "approved" and not self._sendable(newest) and not self._under_way(now, newest):
            attempt = next(a for a in newest.attempts if a.open)
            return (
                f"revision {newest.number} may have arrived by {attempt.transport} at {attempt.target}: ask there, "
                f"then `rollcall report receipt` or `rollcall report resolve {self._name}`"
            )
        if newest.state == "draft" and newest.returned_reason:
            return f"it was given back ({newest.returned_reason}): mend it, then `rollcall report draft {self._name}`"
        return ""

    def _waiting_for_approval(self, now: datetime, newest: Revision) -> Wait:
        what = f"draft {newest.draft} of revision {newest.number} waits for approval"
        if self.unfit is not None:
            return Wait(f"{what}; not automatically: {self.unfit}", self._pressing(now))
        return Wait(what, self._pressing(now))

    def _pressing(self, now: datetime) -> bool:
        """Time runs out: from the escalation's first day on, until it is sent."""
        days = timedelta(days=self.owed.agreement.reminders.escalate_days)
        return self.life.sent is None and self.owed.day(now) >= self.owed.due - days

    def overdue(self, now: datetime) -> bool:
        """The due day is over, and the distributor holds nothing."""
        return now >= self.owed.late and self.life.sent is None

    @property
    def _name(self) -> str:
        return f"{month_name(self.owed.month)} --agreement {self.owed.agreement.id}"


def notice_key(kind: Kind, mark: str) -> str:
    """The occasion, as the ledger has it: who was told once is not told again."""
    return f"{kind} {mark}"
