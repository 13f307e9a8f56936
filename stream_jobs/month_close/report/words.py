"""What was done to a report, in words."""

from __future__ import annotations

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


def said(act: Act) -> str:
    """One act, to stand behind its actor's name."""
    match act:
        case Drafted():
            return f"made draft {act.draft} of revision {act.revision}: {act.reason}"
        case Adjusted():
            return f"adjusted {act.tenant} {act.sku} by {act.quantity:+} ({act.reason}): {act.text}"
        case Waived():
            return f"waived {act.finding} ({act.reason}): {act.text}"
        case Approved():
            return f"approved draft {act.draft} of revision {act.revision} ({act.how})"
        case Returned():
            return f"returned revision {act.revision}: {act.reason}"
        case Attempted():
            return f"began attempt {act.attempt} of revision {act.revision}, by {act.transport} to {act.target}"
        case Ended():
            note = f": {act.note}" if act.note else ""
            return f"said that attempt {act.attempt} of revision {act.revision} ended {act.outcome}{note}"
        case Acknowledged():
            return f"recorded the receipt {act.receipt} of revision {act.revision}"
        case Rejected():
            return f"recorded that revision {act.revision} was rejected: {act.reason}"
        case Notified():
            return f"sent a {act.kind} ({act.key}) to {', '.join(act.to)}"
