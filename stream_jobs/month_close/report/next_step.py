"""The command that comes next in the life of a report. Pure."""

from __future__ import annotations

from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.report import Report
from stream_jobs.month_close.report.life import Life


def next_step(life: Life, report: Report | None, agreed: Agreement, newest_seal: int, *, several: bool = False) -> str:
    """A command with its arguments, or a sentence when there is nothing to do.

    `report` is the newest draft, `newest_seal` the revision of the month's newest seal (0: none), `several` whether the
    month has reports of other agreements too, so that the command must name this one.
    """
    month, newest = month_name(life.month), life.newest
    if newest_seal == 0:
        return f"rollcall close {month}"

    def command(name: str, rest: str = "") -> str:
        named = f" --agreement {life.agreement}" if several else ""
        return f"rollcall report {name} {month}{rest}{named}"

    if newest is None or report is None or life.pending:
        return command("draft")
    if newest.unresolved:
        return command("resolve", " --arrived --note TEXT") + " (or --not-arrived)"
    if newest.state == "draft":
        if newest.seal_revision != newest_seal:
            return command("draft")
        if blocking := next((finding for finding in report.findings if finding.blocks), None):
            return command("waive", f" {blocking.id} --reason REASON --text TEXT")
        return command("approve", " --sign-with KEYFILE" if agreed.approval.by == "ssh-signature" else "")
    if newest.state == "approved":
        return command("submit", "" if agreed.submission else " --by-hand")
    if newest.state == "submitted":
        return command("receipt", " --accepted NUMBER")
    if newest.state == "rejected":
        return command("draft")
    if newest.seal_revision != newest_seal:
        return command("draft")
    return f"nothing is left to do; {command('bundle')} packs the evidence"
