"""A report as a page of the terminal, on standard output."""

from __future__ import annotations

from typing import Any

from console.output import show
from schemas.calendar import month_name
from schemas.report import Quantities, Report
from stream_jobs.month_close.report.life import Life, Revision, standing

QUANTITIES = ("measured", "excluded", "trial", "free", "adjusted", "shortfall", "reported")
LINES = ("tenant", "tenant_name", "sku", "sku_name", "family", "deployment", "unit", "tier", *QUANTITIES)


def line_rows(report: Report) -> list[tuple[Any, ...]]:
    """The lines, with every column."""
    return [tuple(getattr(line, name) for name in LINES) for line in report.lines]


def print_page(report: Report, revision: Revision, life: Life) -> None:
    """Header, lines, totals, findings."""
    print("\n".join(_header(report, revision)))
    shown = ["measured", *(n for n in QUANTITIES[1:-1] if any(getattr(row, n) for row in report.lines)), "reported"]
    rows = [(line.tenant or "(shortfall)", line.sku, *_numbers(line, shown)) for line in report.lines]
    show("table", ("tenant", "sku", *shown), rows)
    totals = [("family", f"{f.family}, {f.deployment}", *_numbers(f, shown)) for f in report.families]
    totals += [("SKU", s.sku, *_numbers(s, shown)) for s in report.skus]
    show("table", ("total of", "which", *shown), [*totals, ("report", "all", *_numbers(report.total, shown))])
    if report.set_aside:
        rows = [(s.reason, s.source, s.events, s.of_month) for s in report.set_aside]
        show("table", ("set aside", "source", "events", "month by"), rows)
    if report.adjustments:
        rows = [(a.tenant, a.sku, f"{a.quantity:+}", a.reason, a.text, a.actor) for a in report.adjustments]
        show("table", ("adjusted: tenant", "sku", "by", "reason", "text", "who"), rows)
    if report.findings:
        found = [
            (f"waived: {f.waived.reason}" if f.waived else f.severity, f.id, f.text, f.rule.id if f.rule else "")
            for f in report.findings
        ]
        show("table", ("severity", "finding", "what is so", "rule"), found)
    if not report.findings:
        print("no findings")
    for row in life.pending:
        print(f"not in this draft yet: what {row.actor} did at place {row.place} of the ledger: {row.text}")


def _header(report: Report, revision: Revision) -> list[str]:
    said = standing(revision)
    partner, distributor = (
        party.name + (f" ({party.number})" if party.number else "") for party in (report.partner, report.distributor)
    )
    lines = [
        f"{report.agreement} {month_name(report.month)}, revision {revision.number} draft {revision.draft}: "
        f"{revision.state}",
        f"  {partner} to {distributor}, {report.channel}"
        + (f", purchase order {report.purchase_order}" if report.purchase_order else ""),
        f"  due {report.due.day} in {report.due.time_zone}"
        + (f" ({report.due.rule.id}: {report.due.rule.source})" if report.due.rule else ""),
        f"  counted from seal revision {report.seal.revision} (close {report.seal.close_number}), {report.seal.digest}",
        f"  this draft has the SHA-256 {revision.report}",
        f"  prepared by {said.prepared_by} at {said.prepared_at}",
    ]
    if report.correction:
        c = report.correction
        lines.append(f"  corrects revision {c.of_revision} in {len(c.differences)} lines: {c.reason}")
    if said.approved_by:
        lines.append(f"  approved by {said.approved_by} at {said.approved_at} ({said.approved_how})")
    if revision.returned_reason:
        lines.append(f"  returned: {revision.returned_reason}")
    for a in revision.attempts:
        note = f", {a.note}" if a.note else ""
        lines.append(f"  attempt {a.number} by {a.transport} to {a.target}: {a.outcome}{note}")
    if said.submitted_at:
        lines.append(f"  submitted at {said.submitted_at}" + (f", receipt {said.receipt}" if said.receipt else ""))
    if revision.rejected_reason:
        lines.append(f"  rejected: {revision.rejected_reason}")
    return lines


def _numbers(of: Quantities, names: list[str]) -> tuple[int, ...]:
    return tuple(getattr(of, name) for name in names)
