"""What became of what was sent: a person's word about an attempt, and the distributor's answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, ConfigurationError
from schemas.calendar import month_name
from schemas.ledger import Acknowledged, Ended, Rejected
from schemas.settings import Settings
from stream_jobs.month_close.report.act import record
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import Attempt, Revision
from stream_jobs.month_close.submit.desk import RECORD_SECONDS
from stream_jobs.month_close.submit.https import HttpsTransport
from stream_jobs.month_close.submit.transport import Receipt


def resolve(
    settings: Settings, client: Client, month: date, agreement: str, *, arrived: bool, note: str, actor: str,
    at: datetime,
) -> list[int]:  # fmt: skip
    """A person's word on the newest revision's attempts whose outcome nobody knows; returns their numbers.

    What arrived is submitted; what did not may be sent again. Raises CheckFailed when there is no such attempt, or one
    may still be under way; ConfigurationError without a note.
    """
    if not note.strip():
        raise ConfigurationError("say how it is known: --note TEXT, such as who was asked")
    with explained(settings.clickhouse):
        ledger = Ledger(client, agreement, month)
        life = ledger.life()
        newest = life.newest
        unknown = [a for a in newest.attempts if a.open] if newest and newest.unresolved else []
        if newest is None or not unknown:
            raise CheckFailed(
                f"nothing of {agreement} {month_name(month)} is in doubt: the report is {life.state}, and no attempt "
                "waits for a word"
            )
        for attempt in unknown:
            _refuse_running(settings, attempt, at)
        agreed = agreement_now(client, agreement, month)
        told = unknown[-1:] if arrived else unknown
        for attempt in told:
            outcome = "accepted" if arrived else "failed"
            act = Ended(revision=newest.number, attempt=attempt.number, outcome=outcome, note=note.strip())
            record(ledger, act, actor=actor, at=at, agreement=agreed)
    return [attempt.number for attempt in told]


def receive(
    settings: Settings, client: Client, month: date, agreement: str, answer: Receipt, *, actor: str, at: datetime,
    revision: int | None = None,
) -> int:  # fmt: skip
    """Records the distributor's answer, of the newest revision that waits for one unless it is named; returns which.

    Raises CheckFailed when nothing waits for an answer.
    """
    with explained(settings.clickhouse):
        ledger = Ledger(client, agreement, month)
        life = ledger.life()
        number = revision or next((r.number for r in reversed(life.revisions) if _waits(r)), None)
        if number is None:
            raise CheckFailed(
                f"no revision of {agreement} {month_name(month)} waits for an answer: the report is {life.state}"
            )
        record(
            ledger, _answer(number, answer), actor=actor, at=at, agreement=agreement_now(client, agreement, month),
            life=life,
        )  # fmt: skip
    return number


def poll_receipts(
    settings: Settings, client: Client, month: date, agreement: str, *, actor: str, at: datetime,
    tell: Callable[[str], None],
) -> list[int]:  # fmt: skip
    """Asks for the receipt of each revision that waits for one; records what is answered, returns which revisions.

    Only what went by https is asked for, at the agreement's address of receipts. Raises OutOfReach when that does not
    answer, ConfigurationError when these settings cannot ask it.
    """
    with explained(settings.clickhouse):
        submission = agreement_now(client, agreement, month).submission
        life = Ledger(client, agreement, month).life()
    waiting = [(r.number, r.attempts[-1].key) for r in life.revisions if _waits(r) and r.attempts[-1].key]
    if not waiting or submission is None or submission.by != "https" or submission.receipts is None:
        return []
    transport, answered = HttpsTransport(settings, submission), []
    for number, key in waiting:
        receipt = transport.receipt(key)
        if receipt is None or receipt.status == "pending":
            continue
        receive(settings, client, month, agreement, receipt, actor=actor, at=at, revision=number)
        said = f"{receipt.status} {receipt.number or receipt.reason}".strip()
        tell(f"{agreement} {month_name(month)} revision {number}: {said}")
        answered.append(number)
    return answered


def _waits(revision: Revision) -> bool:
    return revision.received_at is None and (revision.was_sent or revision.unresolved)


def _answer(revision: int, answer: Receipt) -> Acknowledged | Rejected:
    if answer.status == "accepted":
        return Acknowledged(revision=revision, receipt=answer.number, note=answer.reason)
    if answer.status == "rejected":
        return Rejected(revision=revision, receipt=answer.number, reason=answer.reason or "no reason was given")
    raise ValueError(f"{answer.status} is no answer")


def _refuse_running(settings: Settings, attempt: Attempt, at: datetime) -> None:
    """What may be under way cannot be said to have failed: it would arrive after that, and be sent again."""
    ends = attempt.at + timedelta(seconds=2 * settings.submit.timeout_seconds + RECORD_SECONDS)
    if attempt.outcome == "running" and at < ends:
        raise CheckFailed(
            f"attempt {attempt.number} may still be under way: wait for its end, or until {ends:%Y-%m-%d %H:%M:%S}Z if "
            "what ran it is dead"
        )
