"""Approval: somebody proves who they are and says yes to one draft; or nobody has to, within limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, ConfigurationError
from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.ledger import Approved
from schemas.report import Report
from schemas.settings import Settings
from stream_jobs.month_close.report.act import record
from stream_jobs.month_close.report.automatic import needs_a_person
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import Life, Revision
from stream_jobs.month_close.report.signature import sign, signer_of, statement_of
from stream_jobs.month_close.report.store import get_report
from stream_jobs.month_close.report.who import account
from stream_jobs.month_close.seal import newest_seal

AUTOMATIC = "month-end"
"""The actor of what happens by itself."""


@dataclass(frozen=True)
class Signature:
    """The approver's armoured SSH signature over the statement; `signer` left out: whoever's key it is."""

    text: str
    signer: str | None = None


def statement(settings: Settings, client: Client, month: date, agreement: str) -> str:
    """The text that an approval of the newest draft signs. Raises CheckFailed when it may not be approved."""
    with explained(settings.clickhouse):
        _, newest, _ = _approvable(client, month, agreement)
    return statement_of(agreement, month, newest)


def approve(
    settings: Settings, client: Client, month: date, agreement: str, *, at: datetime,
    signature: Signature | None = None, sign_with: Path | None = None, draft: int | None = None,
) -> Report:  # fmt: skip
    """Approves the newest draft (it must be `draft`, if that is given), as the account that runs this or as a signer.

    Raises CheckFailed when the signature is not good, the approver may not, the draft has blocking findings, or a newer
    seal or draft exists; ConfigurationError when the agreement asks for another proof.
    """
    with explained(settings.clickhouse):
        life, newest, report = _approvable(client, month, agreement)
        if draft is not None and draft != newest.draft:
            raise CheckFailed(f"draft {draft} is no longer what stands: draft {newest.draft} is; look at it first")
        agreed = agreement_now(client, agreement, month)
        actor, act = _proved(agreed, month, newest, signature, sign_with)
        record(Ledger(client, agreement, month), act, actor=actor, at=at, agreement=agreed, life=life)
        return report


def approve_automatically(
    settings: Settings, client: Client, month: date, agreement: str, *, at: datetime
) -> list[str]:
    """Approves the newest draft if the agreement lets that happen by itself and every limit holds.

    Returns why a person has to, in sentences; nothing when it is approved now. Raises CheckFailed when it may not be
    approved by anybody as it is.
    """
    with explained(settings.clickhouse):
        agreed = agreement_now(client, agreement, month)
        if agreed.approval.automatic is None:
            return [f"agreement {agreement} has no automatic approval"]
        life, newest, report = _approvable(client, month, agreement)
        if reasons := needs_a_person(report, _before(client, month, agreement), life, agreed.approval.automatic):
            return reasons
        act = _approval(newest, how="automatic")
        record(Ledger(client, agreement, month), act, actor=AUTOMATIC, at=at, agreement=agreed, life=life)
        return []


def _approvable(client: Client, month: date, agreement: str) -> tuple[Life, Revision, Report]:
    """The newest draft, if it is up to date and nothing in it blocks."""
    life, name = Ledger(client, agreement, month).life(), month_name(month)
    newest = life.newest
    if newest is None:
        raise CheckFailed(f"{agreement} {name} has no draft yet: `rollcall report draft {name}` makes one")
    report = get_report(client, agreement, month, newest.report)
    if newest.state != "draft":
        return life, newest, report
    seal = newest_seal(client, month, agreement)
    if seal is None or seal.revision != newest.seal_revision:
        raise CheckFailed(
            f"draft {newest.draft} was made from seal revision {newest.seal_revision}, and there is a newer one: "
            f"`rollcall report draft {name}` makes a draft of it, then look at that"
        )
    if blocking := [finding for finding in report.findings if finding.blocks]:
        raise CheckFailed(
            "\n".join([
                f"{agreement} {name} revision {newest.number} cannot be approved, since this blocks it:",
                *(f"  {finding.id}: {finding.text}" for finding in blocking),
                f"cure it and close again, or accept it: `rollcall report waive {name} FINDING --reason R --text T`",
            ])
        )  # fmt: skip
    return life, newest, report


def _proved(
    agreed: Agreement, month: date, revision: Revision, signature: Signature | None, sign_with: Path | None
) -> tuple[str, Approved]:
    """Who approves, and the act that proves it."""
    name, approval = month_name(month), agreed.approval
    if approval.by == "os-user":
        if signature or sign_with:
            raise ConfigurationError(
                f"{agreed.id} is approved by the account that runs the command: leave the signature out"
            )
        return account(), _approval(revision, how="os-user")
    text = statement_of(agreed.id, month, revision)
    if sign_with is not None:
        signature = Signature(sign(text, sign_with), signature.signer if signature else None)
    if signature is None:
        raise ConfigurationError(
            f"{agreed.id} asks for a signature: `rollcall report approve {name} --sign-with KEYFILE`; or write the "
            "text with --statement FILE, have it signed, and give --signature FILE.sig"
        )
    signer = signer_of(text, signature.text, approval.allowed_signers, signature.signer)
    act = _approval(
        revision, how="ssh-signature", statement=text, signature=signature.text,
        allowed_signers=list(approval.allowed_signers),
    )  # fmt: skip
    return signer, act


def _approval(revision: Revision, **how: object) -> Approved:
    return Approved.model_validate(
        {"revision": revision.number, "draft": revision.draft, "report": revision.report, **how}
    )


def _before(client: Client, month: date, agreement: str) -> Report | None:
    earlier = (month - timedelta(days=1)).replace(day=1)
    held = Ledger(client, agreement, earlier).life().in_force
    return get_report(client, agreement, earlier, held.report) if held else None
