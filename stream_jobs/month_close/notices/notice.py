"""What somebody is told about a report, and who is told. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from schemas.agreement import Agreement, Contact
from schemas.calendar import month_name
from schemas.report import State

Kind = Literal["reminder", "escalation", "overdue", "failure"]
Role = Literal["preparer", "approver", "escalation"]

_APPROVAL: Mapping[State, Role] = {"draft": "approver"}
"""Who has to act while the report is in this state; in every other one the preparer."""


@dataclass(frozen=True)
class Notice:
    """One occasion. `key` names it within its agreement's month, as the ledger has it.

    `why` is the operator's sentence, in English as every sentence of the command is; `due` the due day; `revision` is 0
    while there is no draft.
    """

    kind: Kind
    key: str
    month: date
    state: State
    due: date
    revision: int = 0
    why: str = ""

    def id_for(self, agreement: str) -> str:
        """The same for the same occasion: what comes twice is seen to be one."""
        parts = f"{agreement}\n{month_name(self.month)}\n{self.kind}\n{self.key}\n"
        return f"notice-{hashlib.sha256(parts.encode()).hexdigest()[:32]}"

    def recipients(self, contacts: list[Contact]) -> list[str]:
        """Addresses. A reminder goes to who has to act, an escalation to its contacts, what is overdue to everybody.

        A role that nobody has falls to everybody.
        """
        role = {
            "reminder": _APPROVAL.get(self.state, "preparer"), "escalation": "escalation", "failure": "preparer",
        }.get(self.kind)  # fmt: skip
        found = [contact.email for contact in contacts if role in (None, contact.role)]
        return list(dict.fromkeys(found or [contact.email for contact in contacts]))

    def command(self, agreement: Agreement) -> str:
        """What brings the report on from here."""
        month = f"{month_name(self.month)} --agreement {agreement.id}"
        match self.state:
            case "open":
                return f"rollcall close {month}"
            case "draft":
                return f"rollcall report show {month}"
            case "approved":
                by_hand = " --by-hand" if agreement.submission is None else ""
                return f"rollcall report submit {month}{by_hand}"
            case "rejected":
                return f"rollcall report draft {month}"
            case _:
                return f"rollcall report history {month}"
