"""The ledger of an agreement's month: everything that was ever done to its report, in order, never changed.

The state of a report is this read from its start (stream_jobs/month_close/report/life.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.close import Sha256


class _Act(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Drafted(_Act):
    """A draft was stored, and is what stands to be approved now. The first of a revision opens it."""

    action: Literal["drafted"] = "drafted"
    revision: int = Field(ge=1)
    draft: int = Field(ge=1)
    report: Sha256
    seal_revision: int = Field(ge=1)
    seal_digest: Sha256
    reason: str = Field(description="first draft, or what made it necessary; of a correction the reason that is sent")


class Adjusted(_Act):
    """Holds from the next draft of this revision on, and in every later revision."""

    action: Literal["adjusted"] = "adjusted"
    tenant: str
    sku: str
    quantity: int
    reason: str
    text: str


class Waived(_Act):
    """A finding is known and accepted, in this revision."""

    action: Literal["waived"] = "waived"
    revision: int = Field(ge=1)
    finding: str
    reason: str
    text: str


class Approved(_Act):
    action: Literal["approved"] = "approved"
    revision: int = Field(ge=1)
    draft: int = Field(ge=1)
    report: Sha256
    how: Literal["os-user", "ssh-signature", "automatic"]
    statement: str = Field("", description="the text that was signed")
    signature: str = Field("", description="armoured SSH signature over it")
    allowed_signers: list[str] = Field([], description="the agreement's, as they were when it was verified")


class Returned(_Act):
    """An approver said no, or an approval was taken back before anything was sent: it is a draft again."""

    action: Literal["returned"] = "returned"
    revision: int = Field(ge=1)
    reason: str


class Attempted(_Act):
    """Written before anything is sent."""

    action: Literal["attempted"] = "attempted"
    revision: int = Field(ge=1)
    attempt: int = Field(ge=1, description="of this revision")
    transport: str = Field(description="email, https, sftp, folder, or by-hand")
    target: str
    key: str = Field(description="idempotency key: the same for every attempt of a draft")


class Ended(_Act):
    """How an attempt ended. `unknown`: it may have arrived; resolved by another of these, or by a receipt."""

    action: Literal["ended"] = "ended"
    revision: int = Field(ge=1)
    attempt: int = Field(ge=1)
    outcome: Literal["accepted", "failed", "unknown"]
    note: str = ""


class Acknowledged(_Act):
    """The distributor's receipt."""

    action: Literal["acknowledged"] = "acknowledged"
    revision: int = Field(ge=1)
    receipt: str
    note: str = ""


class Rejected(_Act):
    """The distributor refused it; the next draft is a new revision."""

    action: Literal["rejected"] = "rejected"
    revision: int = Field(ge=1)
    receipt: str = ""
    reason: str


class Notified(_Act):
    """Somebody was told; `key` names the occasion, so that nobody is told twice."""

    action: Literal["notified"] = "notified"
    kind: Literal["reminder", "escalation", "overdue", "failure"]
    key: str
    to: list[str]


Act = Annotated[
    Drafted | Adjusted | Waived | Approved | Returned | Attempted | Ended | Acknowledged | Rejected | Notified,
    Field(discriminator="action"),
]
ACT: TypeAdapter[Act] = TypeAdapter(Act)


class Entry(BaseModel):
    """One line of the ledger. `place` counts from 1 without gaps; `at` is the actor's clock, in UTC, for display."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: int = Field(ge=1)
    at: datetime
    actor: str = Field(description="operating system's user, signer, or `month-end` for what ran by itself")
    act: Act
