"""`rollcall report draft`, `adjust`, `waive`, `approve`, `return`: what people do to a report before it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from console.output import tell
from console.reporting import AgreementId, MonthName, RevisionNumber, case_of, now
from infra.errors import ConfigurationError
from stream_jobs.month_close.report import act
from stream_jobs.month_close.report import approve as approval
from stream_jobs.month_close.report import draft as drafting
from stream_jobs.month_close.report.who import account

Reason = Annotated[str, Parameter(help="one of the catalogue's list")]
Words = Annotated[str, Parameter(help="in words, for whoever reads it in three years")]


def draft(
    month: MonthName, /, *, agreement: AgreementId = None,
    reason: Annotated[str, Parameter(help="why; of a correction it is sent")] = "",
) -> None:  # fmt: skip
    """Make a draft of what stands now. Of a report that was sent: a correction, if what is reported changed."""
    case = case_of(month, agreement)
    before = len(case.life().revisions)
    made = drafting.draft(
        case.settings, case.client, case.month, case.agreement, actor=account(), at=now(), reason=reason
    )
    tell(drafting.summary(made))
    life = case.life()
    if len(life.revisions) == before and life.newest is not None and life.newest.was_sent:
        tell(f"revision {life.newest.number} was sent, and what is reported is the same: no correction is due")
    case.tell_next()


def adjust(
    month: MonthName, tenant: str, sku: str, quantity: Annotated[int, Parameter(allow_leading_hyphen=True)], /, *,
    reason: Reason, text: Words, agreement: AgreementId = None,
) -> None:  # fmt: skip
    """Add a signed row to what is reported of a tenant's SKU, such as -2. What was measured stays as it is."""
    case = case_of(month, agreement)
    made = act.adjust(
        case.settings, case.client, case.month, case.agreement, tenant=tenant, sku=sku, quantity=quantity,
        reason=reason, text=text, actor=account(), at=now(),
    )  # fmt: skip
    tell(drafting.summary(made))
    case.tell_next()


def waive(
    month: MonthName, finding: str, /, *, reason: Reason, text: Words, agreement: AgreementId = None
) -> None:
    """Accept a finding of the newest draft, by its id as `show` has it, for this revision."""
    case = case_of(month, agreement)
    made = act.waive(
        case.settings, case.client, case.month, case.agreement, finding=finding, reason=reason, text=text,
        actor=account(), at=now(),
    )  # fmt: skip
    tell(drafting.summary(made))
    case.tell_next()


def return_(month: MonthName, /, *, reason: Words, agreement: AgreementId = None) -> None:
    """Say no to a draft, or take an approval back before anything was sent."""
    case = case_of(month, agreement)
    made = act.give_back(
        case.settings, case.client, case.month, case.agreement, reason=reason, actor=account(), at=now()
    )
    tell(drafting.summary(made))
    case.tell_next()


def approve(
    month: MonthName, /, *, agreement: AgreementId = None, revision: RevisionNumber = None,
    draft: Annotated[int | None, Parameter(help="the draft that you looked at; refused if another one stands")] = None,
    statement: Annotated[Path | None, Parameter(help="write the text to sign into this file; approves nothing")] = None,
    signature: Annotated[Path | None, Parameter(help="file with the SSH signature over that text")] = None,
    signer: Annotated[str | None, Parameter(help="whose it is, as in the allowed signers")] = None,
    sign_with: Annotated[Path | None, Parameter(help="SSH key to sign with, here and now")] = None,
) -> None:  # fmt: skip
    """Say yes to the newest draft: as the account that runs this, or by an SSH signature, as the agreement asks."""
    case = case_of(month, agreement)
    case.newest_only(revision)
    if sum(given is not None for given in (statement, signature, sign_with)) > 1:
        raise ConfigurationError("give one of --statement, --signature and --sign-with")
    if statement is not None:
        text = approval.statement(case.settings, case.client, case.month, case.agreement)
        statement.write_text(text, "utf-8", newline="\n")
        named = f" --agreement {case.agreement}" if case.several else ""
        tell(f"next: ssh-keygen -Y sign -n rollcall-approval -f KEYFILE {statement}")
        tell(f"then: rollcall report approve {month} --signature {statement}.sig --signer NAME{named}")
        return
    given = approval.Signature(_text(signature), signer) if signature is not None else None
    report = approval.approve(
        case.settings, case.client, case.month, case.agreement, at=now(), signature=given, sign_with=sign_with,
        draft=draft,
    )  # fmt: skip
    approved = case.revision(case.life())
    tell(f"{drafting.summary(report)}: approved by {approved.approved_by} ({approved.approved_how})")
    case.tell_next()


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"{file} cannot be read as a signature ({why}): name the .sig file that ssh-keygen wrote"
        ) from None
