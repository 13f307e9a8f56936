"""Agreements: who reports what to whom, how a report is approved, and how it is sent."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field

from schemas.parts import Address, Channel, Day, FirstOfMonth, Id, Part, Text, Validity
from schemas.ssh import checked_key, checked_signer

Language = Literal["en", "ja", "nl"]
Signer = Annotated[str, Field(max_length=8192), AfterValidator(checked_signer)]
HostKey = Annotated[str, Field(max_length=8192), AfterValidator(checked_key)]
FormFormat = Literal["pdf", "xlsx", "csv", "json", "form"]
"""`form` is the distributor's own XLSX form, filled."""


class Party(Part):
    """A company as it stands on the report."""

    name: Text
    number: Text | None = Field(None, description="its number at the other side: partner id, customer number")
    address: list[Text] = []


class Contact(Part):
    """Somebody who is told. Approvers are reminded, `escalation` is told when time runs out."""

    name: Text
    email: Address
    role: Literal["preparer", "approver", "escalation"]


class AutomaticApproval(Part):
    """When a draft may be approved without a person. All must hold."""

    variance_percent: float = Field(gt=0, description="largest change of the total against the month before")
    highest_severity: Literal["none", "info", "warning"] = Field("info", description="of findings that are not waived")
    all_sources: bool = Field(True, description="only if no source is known to be silent")


class Approval(Part):
    """Who may say yes, and how it is proved."""

    by: Literal["os-user", "ssh-signature"] = "os-user"
    approvers: list[Text] = Field([], description="operating system's users, or signers' names; left out: anybody")
    allowed_signers: list[Signer] = Field(
        [], description="lines of ssh-keygen's allowed signers file: `alice@provider.example ssh-ed25519 AAAA…`"
    )
    four_eyes: bool = Field(True, description="the approver must not be who prepared the draft")
    automatic: AutomaticApproval | None = None


class EmailSubmission(Part):
    by: Literal["email"]
    to: list[Address] = Field(min_length=1)
    cc: list[Address] = []


class HttpsSubmission(Part):
    """A signed POST (Standard Webhooks) with an idempotency key; receipts are polled where `receipts` is given."""

    by: Literal["https"]
    url: AnyHttpUrl
    receipts: AnyHttpUrl | None = Field(None, description="asked with ?key=IDEMPOTENCY-KEY for the receipt")


class SftpSubmission(Part):
    by: Literal["sftp"]
    host: Text
    port: int = Field(22, ge=1, le=65535)
    user: Text
    folder: Text = "."
    host_key: HostKey = Field(description="the server's public key, as in known_hosts: `ssh-ed25519 AAAA…`")


class FolderSubmission(Part):
    by: Literal["folder"]
    folder: Text


Submission = Annotated[
    EmailSubmission | HttpsSubmission | SftpSubmission | FolderSubmission, Field(discriminator="by")
]


class Reminders(Part):
    """Days are counted back from the due day, in the programme's zone."""

    remind_days: int = Field(5, ge=0, description="so many days before it the approvers are told, each day")
    escalate_days: int = Field(2, ge=0, description="from so many days before it the escalation contacts too")
    webhook: AnyHttpUrl | None = Field(None, description="is told the same, signed (Standard Webhooks)")


class Agreement(Part):
    """The programme contract of a partner with a distributor: one report a month.

    It covers the programme's SKUs of its `tenants`; left out, those of every tenant that no other agreement of the
    programme names. What no agreement covers is sealed and reported under the programme's id.
    """

    id: Id
    programme: Id
    partner: Party
    distributor: Party
    contract_date: Day
    valid_from: FirstOfMonth | None = Field(None, description="first month; left out: that of the contract")
    valid_to: FirstOfMonth | None = Field(None, description="the first month that is out")
    channel: Channel = "CSP"
    purchase_order: Text | None = None
    contacts: list[Contact] = []
    tenants: list[Id] = []
    language: Language = "en"
    forms: list[FormFormat] = Field(["pdf", "xlsx"], min_length=1, description="what is sent")
    form: PurePosixPath | None = Field(None, description="the distributor's XLSX form, filled where `forms` has form")
    approval: Approval = Approval()
    submission: Submission | None = Field(None, description="left out: a person sends it and says so")
    reminders: Reminders = Reminders()
    silent_sources: Literal["warn", "block"] = Field(
        "warn", description="a declared source that fell silent in the month, or has not answered the close"
    )

    @property
    def first_month(self) -> date:
        """Its first day."""
        return (self.valid_from or self.contract_date).replace(day=1)

    @property
    def validity(self) -> Validity:
        return self.first_month, self.valid_to
