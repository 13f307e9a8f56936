"""The lines of a report as CSV, for programs: UTF-8 without a byte order mark, line feeds, plain numbers.

A text that a spreadsheet program would take for a formula gets an apostrophe in front, the usual guard (OWASP, CSV
injection); ids cannot begin so, numbers stay as they are. A report without any line has one of zero, without tenant
and SKU, so that the file itself says so.
"""

from __future__ import annotations

import csv
import io

from schemas.calendar import month_name
from schemas.report import Line, Report, Standing

COLUMNS = (
    "agreement", "month", "revision", "draft", "state", "tenant", "tenant_name", "sku", "sku_name", "family",
    "deployment", "unit", "tier", "measured", "excluded", "trial", "free", "adjusted", "shortfall", "reported", "rule",
)  # fmt: skip
# The last four are the full-width forms, which Japanese editions take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def lines_csv(report: Report, standing: Standing) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    head = [report.agreement, month_name(report.month), report.revision, report.draft, standing.state]
    for line in report.lines:
        writer.writerow([*head, *_cells(line)])
    if not report.lines:
        writer.writerow([*head, *[""] * 8, *[0] * 7, ""])
    return out.getvalue().encode()


def guarded(text: str) -> str:
    """The text, so that a spreadsheet program shows it and does not calculate it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cells(line: Line) -> list[str | int]:
    return [
        line.tenant, guarded(line.tenant_name), line.sku, guarded(line.sku_name), guarded(line.family),
        line.deployment, line.unit, guarded(line.tier), line.measured, line.excluded, line.trial, line.free,
        line.adjusted, line.shortfall, line.reported, line.rule.id if line.rule else "",
    ]  # fmt: skip
