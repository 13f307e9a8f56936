"""`rollcall report`: the life of each month's report. Here: looking at it. What changes it is in report_acts.py."""

from __future__ import annotations

import sys
from datetime import UTC
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from console.arguments import month_of
from console.output import Format, show, tell
from console.report_page import LINES, line_rows, print_page
from console.reporting import AgreementId, MonthName, RevisionNumber, case_of
from infra.clickhouse.client import connect, explained
from infra.errors import CheckFailed, ConfigurationError
from schemas.agreement import FormFormat, Language
from schemas.report import Report
from schemas.settings import load_settings
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import standing
from stream_jobs.month_close.report.listing import list_reports
from stream_jobs.month_close.report.store import get_json
from stream_jobs.month_close.report.words import said

report = App(name="report", help="The report of a month: drafted, approved, sent, answered, corrected.")
for target, summary in {
    "console.report_acts:draft": "Make a draft of what stands now, or of a correction.",
    "console.report_acts:adjust": "Add a signed row to what is reported, with its reason.",
    "console.report_acts:waive": "Accept a finding, with a reason.",
    "console.report_acts:approve": "Say yes to the newest draft, and prove who does.",
    "console.report_acts:return_": "Say no to a draft, or take an approval back.",
    "console.submission:submit": "Send what is approved.",
    "console.submission:receipt": "Record the distributor's answer.",
    "console.submission:resolve": "Say how an attempt ended that nobody knows of.",
    "console.bundle:bundle": "Pack the evidence of a month for an auditor.",
}.items():
    report.command(target, name=target.rpartition(":")[2].strip("_"), help=summary)

STATES = (
    "month", "agreement", "revision", "draft", "state", "due", "reported", "findings", "blocking", "prepared_by",
    "approved_by",
)  # fmt: skip


@report.command(name="list")
def list_(month: Annotated[str | None, Parameter(help="YYYY-MM; left out: every month")] = None, /, *,
          format: Format = "table") -> None:  # fmt: skip
    """List the revisions of every report with their states; a sealed month without a draft is open."""
    settings = load_settings()
    with explained(settings.clickhouse):
        found = list_reports(connect(settings), month_of(month) if month else None)
    show(format, STATES, [tuple(getattr(row, name) for name in STATES) for row in found])
    if not found:
        tell("next: rollcall close MONTH")
    else:
        last = found[-1]
        several = len({row.agreement for row in found if row.month == last.month}) > 1
        command = "draft" if last.state == "open" else "show"
        tell(f"next: rollcall report {command} {last.month}" + (f" --agreement {last.agreement}" if several else ""))


@report.command(name="show")
def show_(
    month: MonthName, /, *, agreement: AgreementId = None, revision: RevisionNumber = None, format: Format = "table"
) -> None:
    """Show a report as it stands: header, lines, totals, findings, state. CSV and JSON have the lines."""
    case = case_of(month, agreement)
    life = case.life()
    chosen = case.revision(life, revision)
    shown = case.report(chosen)
    if format == "table":
        print_page(shown, chosen, life)
    else:
        show(format, LINES, line_rows(shown))
    case.tell_next()


@report.command
def history(month: MonthName, /, *, agreement: AgreementId = None, format: Format = "table") -> None:
    """Show the ledger: everything that was ever done to a month's report, when, by whom and why."""
    case = case_of(month, agreement)
    with explained(case.settings.clickhouse):
        entries = Ledger(case.client, case.agreement, case.month).entries()
    rows = [(e.place, e.at.astimezone(UTC), e.actor, e.act.action, said(e.act)) for e in entries]
    show(format, ("place", "at", "actor", "action", "what"), rows)
    case.tell_next()


@report.command
def diff(
    month: MonthName, /, *, agreement: AgreementId = None, revision: RevisionNumber = None, format: Format = "table"
) -> None:
    """Show what a correction changes, line by line, and why."""
    case = case_of(month, agreement)
    chosen = case.revision(case.life(), revision)
    correction = case.report(chosen).correction
    if correction is None:
        raise CheckFailed(f"revision {chosen.number} of {case.agreement} {month} is the first: it corrects nothing")
    tell(f"revision {chosen.number} corrects revision {correction.of_revision}: {correction.reason}")
    unnamed = "(shortfall)" if format == "table" else ""
    rows = [(d.tenant or unnamed, d.sku, d.before, d.after, d.after - d.before) for d in correction.differences]
    show(format, ("tenant", "sku", "before", "after", "change"), rows)
    case.tell_next()


@report.command
def export(
    month: MonthName, /, *, format_of: Annotated[FormFormat, Parameter(help="which form")] = "pdf",
    language: Annotated[Language | None, Parameter(help="left out: the agreement's")] = None,
    output: Annotated[str | None, Parameter(help="file, or - for standard output; left out: named after it")] = None,
    agreement: AgreementId = None, revision: RevisionNumber = None,
) -> None:  # fmt: skip
    """Write a report as a file, as it would be sent: PDF, XLSX, CSV, JSON, or the distributor's own form."""
    from stream_jobs.month_close.forms.render import file_name, render

    case = case_of(month, agreement)
    chosen = case.revision(case.life(), revision)
    with explained(case.settings.clickhouse):
        stored = get_json(case.client, case.agreement, case.month, chosen.report)
        agreed = agreement_now(case.client, case.agreement, case.month)
    shown = Report.model_validate_json(stored)
    form = None
    if format_of == "form" and agreed.form is not None:
        form = _bytes(case.settings.catalogue.parent / agreed.form)
    content = render(shown, format_of, language or shown.language, standing(chosen), form, stored=stored)
    if output == "-":
        sys.stdout.buffer.write(content)
        return
    file = Path(output or file_name(shown, format_of))
    try:
        file.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}; name another, --output FILE") from None
    tell(f"{file}: revision {chosen.number}, {chosen.state}, {len(content)} bytes")
    case.tell_next()


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the distributor's form {file} cannot be read: {error.strerror}; its path starts at the catalogue's folder"
        ) from None
