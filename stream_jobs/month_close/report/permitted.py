"""What may be done to a report now, and by whom: each act against the life so far and the agreement. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.ledger import (
    Acknowledged,
    Act,
    Adjusted,
    Approved,
    Attempted,
    Drafted,
    Ended,
    Notified,
    Rejected,
    Returned,
    Waived,
)

if TYPE_CHECKING:
    from stream_jobs.month_close.report.life import Life, Revision

KEYED = frozenset({"https", "sftp", "folder"})
"""Transports that carry the idempotency key (a file does in its name): what arrives twice is known to be one."""


def refused(life: Life, act: Act, actor: str, agreement: Agreement) -> str | None:
    """Why this may not be done now: the operator's sentence, with the cure; None when it may.

    What the ledger says is all that it knows. Findings, newer seals and signatures are looked at where they are read
    (approve.py).
    """
    if isinstance(act, Notified):
        return f"{act.key}: that was told already" if act.key in life.notified else None
    if isinstance(act, Drafted):
        return _drafted(life, act)
    if (revision := life.revision(act.revision) if not isinstance(act, Adjusted) else life.newest) is None:
        return f"{_named(life)} has no such draft yet: `rollcall report draft {month_name(life.month)}` makes one"
    match act:
        case Adjusted():
            return _arrived(life, revision)
        case Waived():
            return _settled(life, revision) or _arrived(life, revision)
        case Approved():
            return _approved(life, revision, act, actor, agreement)
        case Returned():
            return _settled(life, revision) or _arrived(life, revision)
        case Attempted():
            return _attempted(life, revision, act)
        case Ended():
            attempt = next((a for a in revision.attempts if a.number == act.attempt), None)
            if attempt is None:
                return f"{_named(life, revision)} has no attempt {act.attempt}"
            known = f"attempt {attempt.number} of {_named(life, revision)} is known to be {attempt.outcome}"
            return None if attempt.open else known
        case Acknowledged() | Rejected():
            if revision.received_at is not None:
                return f"{_named(life, revision)} was answered already: {_answer(revision)}"
            if revision.was_sent or revision.unresolved:
                return None
            return f"{_named(life, revision)} was not sent, so there is no receipt of it: it is {revision.state}"


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: an account `alice` and a signer `alice@provider.example` are."""
    return one.partition("@")[0].casefold() == other.partition("@")[0].casefold()


def _drafted(life: Life, act: Drafted) -> str | None:
    newest = life.newest
    if newest is None or newest.was_sent:
        expected = (1 if newest is None else newest.number + 1, 1)
    elif sentence := _arrived(life, newest):
        return sentence
    else:
        expected = (newest.number, newest.draft + 1)
    if (act.revision, act.draft) == expected:
        return None
    return (
        f"the next draft of {_named(life)} is revision {expected[0]} draft {expected[1]}: make it from what stands now"
    )


def _approved(life: Life, revision: Revision, act: Approved, actor: str, agreement: Agreement) -> str | None:
    approval = agreement.approval
    if sentence := _settled(life, revision):
        return sentence
    if revision.state == "approved":
        return f"{_named(life, revision)} was approved already, by {revision.approved_by}"
    if (act.draft, act.report) != (revision.draft, revision.report):
        return (
            f"draft {act.draft} of {_named(life, revision)} is no longer what stands: draft {revision.draft} is; look "
            "at it, then approve it"
        )
    if rows := life.pending:
        return (
            f"{rows[0].actor} adjusted or waived something after draft {revision.draft} was made: "
            f"`rollcall report draft {month_name(life.month)}` takes it in"
        )
    if act.how == "automatic":
        return None if approval.automatic else f"agreement {agreement.id} has no automatic approval: a person approves"
    if act.how != approval.by:
        return f"agreement {agreement.id} asks for an approval by {approval.by}, not by {act.how}"
    if approval.approvers and actor not in approval.approvers:
        return f"{actor} is no approver of {agreement.id}; its approvers are {', '.join(approval.approvers)}"
    if approval.four_eyes:
        for hand in sorted({revision.prepared_by, *life.hands_in(revision)}):
            if same_person(actor, hand):
                return (
                    f"{actor} had a hand in this draft, and {agreement.id} asks for four eyes: somebody else approves "
                    "(or the agreement says `four_eyes: false`)"
                )
    return None


def _attempted(life: Life, revision: Revision, act: Attempted) -> str | None:
    if revision.was_sent:
        return f"{_named(life, revision)} was sent already: it is {revision.state}"
    if revision.state != "approved":
        return (
            f"{_named(life, revision)} is not approved: "
            f"`rollcall report approve {month_name(life.month)}` comes first; nothing was sent"
        )
    if act.attempt != len(revision.attempts) + 1:
        return f"the next attempt of {_named(life, revision)} is attempt {len(revision.attempts) + 1}"
    if other := next((a for a in revision.attempts if a.report == revision.report and a.key != act.key), None):
        return f"draft {revision.draft} of {_named(life, revision)} goes by the key {other.key}, in every attempt"
    # By another transport it would be another message: only the same one is known at the other side.
    again = {(a.transport, a.target) for a in revision.attempts if a.open} <= {(act.transport, act.target)}
    if revision.unresolved and not (act.transport in KEYED and again):
        return _arrived(life, revision)
    return None


def _arrived(life: Life, revision: Revision) -> str | None:
    """Nothing may change while a message with it may be at the other side."""
    if not revision.unresolved:
        return None
    attempt = next(a for a in revision.attempts if a.open)
    return (
        f"attempt {attempt.number} of {_named(life, revision)}, by {attempt.transport} to {attempt.target}, may have "
        f"arrived: ask there, then `rollcall report receipt {month_name(life.month)}` records the answer, or "
        f"`rollcall report resolve {month_name(life.month)}` says how it ended"
    )


def _settled(life: Life, revision: Revision) -> str | None:
    if revision is not life.newest:
        return f"{_named(life, revision)} is not the newest revision any more"
    if revision.was_sent:
        return (
            f"{_named(life, revision)} was sent and is {revision.state}: a change of it is a correction, which "
            f"`rollcall report draft {month_name(life.month)}` makes"
        )
    return None


def _answer(revision: Revision) -> str:
    return f"rejected, {revision.rejected_reason}" if revision.rejected_reason else f"acknowledged, {revision.receipt}"


def _named(life: Life, revision: Revision | None = None) -> str:
    return f"{life.agreement} {month_name(life.month)}" + (f" revision {revision.number}" if revision else "")
