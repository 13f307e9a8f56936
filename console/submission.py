"""`rollcall report submit`, `receipt`, `resolve`: how a report gets to the distributor, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from console.output import tell
from console.reporting import AgreementId, MonthName, RevisionNumber, case_of, now
from infra.errors import ConfigurationError
from stream_jobs.month_close.report.who import account
from stream_jobs.month_close.submit.answers import poll_receipts, receive
from stream_jobs.month_close.submit.answers import resolve as say
from stream_jobs.month_close.submit.by_hand import ByHand
from stream_jobs.month_close.submit.desk import submit as send
from stream_jobs.month_close.submit.transport import Receipt


def submit(
    month: MonthName, /, *, agreement: AgreementId = None,
    by_hand: Annotated[bool, Parameter(negative="", help="write the files; a person sends them")] = False,
    to: Annotated[Path | None, Parameter(help="folder for --by-hand; left out: submissions in ROLLCALL_HOME")] = None,
) -> int:  # fmt: skip
    """Send what is approved, by the agreement's transport.

    With --by-hand the files are written and a person sends them, then says so: `rollcall report resolve`. Exit code 1
    when it was not accepted: the note says what is certain.
    """
    if to is not None and not by_hand:
        raise ConfigurationError("--to is the folder of --by-hand; where an agreement sends stands in the catalogue")
    case = case_of(month, agreement)
    transport = ByHand(to or case.settings.home / "submissions") if by_hand else None
    outcome = send(
        case.settings, case.client, case.month, case.agreement, actor=account(), at=now(), tell=tell,
        transport=transport,
    )  # fmt: skip
    written = by_hand and outcome.result == "unknown"
    tell(outcome.note if written else f"{outcome.result}: {outcome.note}")
    if written:
        tell("send them, then say so: nobody else knows")
    case.tell_next()
    return 0 if written or outcome.result == "accepted" else 1


def receipt(
    month: MonthName, /, *, agreement: AgreementId = None, revision: RevisionNumber = None,
    accepted: Annotated[str | None, Parameter(help="the distributor's number of what it accepted")] = None,
    rejected: Annotated[str | None, Parameter(help="why the distributor refused it")] = None,
    receipt: Annotated[str, Parameter(help="the distributor's number of what it refused")] = "",
    poll: Annotated[bool, Parameter(negative="", help="ask the agreement's address of receipts")] = False,
) -> int:  # fmt: skip
    """Record the distributor's answer to what was sent: --accepted NUMBER, --rejected REASON, or ask for it: --poll."""
    if (accepted is not None) + (rejected is not None) + poll != 1:
        raise ConfigurationError("give one of --accepted NUMBER, --rejected REASON, --poll")
    case = case_of(month, agreement)
    if poll:
        answered = poll_receipts(
            case.settings, case.client, case.month, case.agreement, actor=account(), at=now(), tell=tell
        )
        if not answered:
            tell("there is no new receipt")
    else:
        answer = Receipt("rejected", receipt, _words(rejected, "--rejected")) if accepted is None else Receipt(
            "accepted", _words(accepted, "--accepted")
        )  # fmt: skip
        number = receive(
            case.settings, case.client, case.month, case.agreement, answer, actor=account(), at=now(), revision=revision
        )
        tell(f"{case.agreement} {month} revision {number}: {answer.status} {answer.number or answer.reason}")
    case.tell_next()
    return 0


def resolve(
    month: MonthName, /, *, agreement: AgreementId = None,
    arrived: Annotated[bool | None, Parameter(negative="--not-arrived", help="whether the distributor has it")] = None,
    note: Annotated[str, Parameter(help="how that is known: who was asked, what was seen")] = "",
) -> None:  # fmt: skip
    """Say whether an attempt arrived that nobody knows of: --arrived or --not-arrived. What did not is sent again."""
    if arrived is None:
        raise ConfigurationError("say which: --arrived or --not-arrived")
    case = case_of(month, agreement)
    numbers = say(
        case.settings, case.client, case.month, case.agreement, arrived=arrived, note=note, actor=account(), at=now()
    )
    named = " and ".join(map(str, numbers))
    tell(f"{case.agreement} {month}: attempt {named} {'arrived' if arrived else 'did not arrive'}")
    case.tell_next()


def _words(text: str | None, option: str) -> str:
    if not text or not text.strip():
        raise ConfigurationError(f"{option} needs a text")
    return text.strip()
