"""The report as a spreadsheet: sheets for the report, its lines, findings and adjustments.

Texts are written as texts, whatever they begin with; numbers and days as such, so that the reader's program formats
and sums them. The same bytes each time: nothing in the file is taken from a clock.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import xlsxwriter

from schemas.agreement import Language, Party
from schemas.report import Report, Standing
from stream_jobs.month_close.forms.page import QUANTITIES, revision_of
from stream_jobs.month_close.forms.words import Words, words

Value = str | int | date
DAY_FORMATS: Mapping[Language, str] = {
    "en": "[$-809]d mmmm yyyy", "ja": '[$-411]yyyy"年"m"月"d"日"', "nl": "[$-413]d mmmm yyyy",
}  # fmt: skip
"""A month's name is in the form's language, whatever the reader's is."""
_MONTHS: Mapping[Language, str] = {"en": "[$-809]mmmm yyyy", "ja": '[$-411]yyyy"年"m"月"', "nl": "[$-413]mmmm yyyy"}
_ACCENT, _SOFT, _RULE = "#1F3A5F", "#EEF2F7", "#C3CCD8"


def workbook(report: Report, language: Language, standing: Standing, stored: bytes) -> bytes:
    """`stored` is the report's JSON, whose SHA-256 is on the first sheet."""
    out, w = io.BytesIO(), words(language)
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        book.set_properties({
            "title": f"{w('title.report')} {w.month(report.month)}", "author": report.partner.name,
            "created": datetime(report.month.year, report.month.month, 1, tzinfo=UTC).replace(tzinfo=None),
        })  # fmt: skip
        book.set_size(2400, 1400)
        pen = _Pen(book, w)
        _report(pen, report, standing, stored)
        _lines(pen, report)
        _findings(pen, report)
        _adjustments(pen, report)
    return out.getvalue()


class _Pen:
    """Writes values and tables into sheets, in the styles of this workbook."""

    def __init__(self, book: Any, w: Words) -> None:
        font = {"font_name": "Yu Gothic" if w.language == "ja" else "Calibri", "font_size": 10, "valign": "top"}
        count = {"num_format": "#,##0;−#,##0;0"}
        rule, strong = {"bottom": 1, "bottom_color": _RULE}, {"bold": True, "bg_color": _SOFT}
        styles: dict[str, dict[str, Any]] = {
            "title": {"bold": True, "font_size": 16, "font_color": _ACCENT},
            "heading": {"bold": True, "font_size": 12, "font_color": _ACCENT},
            "mark": {"bold": True, "font_size": 16, "font_color": "#B3261E"},
            "label": {"font_color": "#5B6675"}, "text": {}, "bold": {"bold": True},
            "day": {"num_format": DAY_FORMATS[w.language], "align": "left"},
            "month": {"num_format": _MONTHS[w.language], "align": "left"},
            "whole": {"num_format": "0", "align": "left"},
            "head": {"bold": True, "font_color": "#FFFFFF", "bg_color": _ACCENT, "text_wrap": True},
            "head_number": {"bold": True, "font_color": "#FFFFFF", "bg_color": _ACCENT, "align": "right"},
            "cell": rule, "wrap": {**rule, "text_wrap": True}, "number": {**rule, **count},
            "result": {**rule, **count, **strong}, "sum": {**count, **strong, "top": 1},
            "sum_text": {**strong, "top": 1},
        }  # fmt: skip
        self.book, self.w = book, w
        self.style = {name: book.add_format({**font, **own}) for name, own in styles.items()}

    def sheet(self, key: str, widths: Sequence[int], *, landscape: bool = False) -> Any:
        sheet = self.book.add_worksheet(self.w(f"sheet.{key}"))
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.set_paper(9)
        sheet.hide_gridlines(2)
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&L&8&A&R&8&P / &N")
        if landscape:
            sheet.set_landscape()
        return sheet

    def write(self, sheet: Any, row: int, column: int, value: Value, style: str) -> None:
        if isinstance(value, str):
            sheet.write_string(row, column, value, self.style[style])
        elif isinstance(value, int):
            sheet.write_number(row, column, value, self.style[style])
        else:
            sheet.write_datetime(row, column, datetime(value.year, value.month, value.day), self.style[style])

    def head(self, sheet: Any, row: int, labels: Sequence[str], numbers: int = 0) -> None:
        """One row of column titles; the last `numbers` of them stand over quantities."""
        for column, label in enumerate(labels):
            style = "head_number" if column >= len(labels) - numbers else "head"
            self.write(sheet, row, column, label, style)

    def rows(self, sheet: Any, row: int, rows: Iterable[Sequence[Value]], wrap: frozenset[int] = frozenset(),
             result: int | None = None) -> int:  # fmt: skip
        """Returns the row behind them. `result` is the column that stands out."""
        for values in rows:
            for column, value in enumerate(values):
                style = "wrap" if column in wrap else "cell"
                if isinstance(value, int):
                    style = "result" if column == result else "number"
                self.write(sheet, row, column, value, style)
            row += 1
        return row

    def total(self, sheet: Any, row: int, values: Sequence[Value]) -> None:
        for column, value in enumerate(values):
            self.write(sheet, row, column, value, "sum" if isinstance(value, int) else "sum_text")

    def labels(self, *names: str) -> list[str]:
        return [self.w(f"label.{name}") for name in names]


def _report(pen: _Pen, report: Report, standing: Standing, stored: bytes) -> None:
    w = pen.w
    sheet = pen.sheet("report", [22, 34, 14, *[11] * len(QUANTITIES)], landscape=True)
    pen.write(sheet, 0, 0, w("title.correction" if report.correction else "title.report"), "title")
    sheet.set_row(0, 24)
    if mark := w.mark(standing.state):
        pen.write(sheet, 1, 0, mark, "mark")
    row = 2
    for label, value, style in _facts(report, w, standing, stored):
        pen.write(sheet, row, 0, label, "label")
        pen.write(sheet, row, 1, value, style)
        row += 1
    if report.zero:
        row += 1
        pen.write(sheet, row, 0, w("sentence.zero", month=w.month(report.month)), "bold")
        row += 1
    if report.correction:
        row = _correction(pen, sheet, row + 1, report)
    last = 2 + len(QUANTITIES)
    if report.skus:
        row += 1
        pen.write(sheet, row, 0, w("heading.order"), "heading")
        pen.head(sheet, row + 1, pen.labels("sku", "product", "unit", *QUANTITIES), len(QUANTITIES))
        rows: list[list[Value]] = [
            [s.sku, s.sku_name, w(f"unit.{s.unit}"), *(getattr(s, q) for q in QUANTITIES)] for s in report.skus
        ]
        row = pen.rows(sheet, row + 2, rows, result=last)
        totals: list[Value] = [w("label.total"), "", "", *(getattr(report.total, q) for q in QUANTITIES)]
        pen.total(sheet, row, totals)
        row += 2
        pen.write(sheet, row, 0, w("heading.families"), "heading")
        pen.head(sheet, row + 1, [*pen.labels("family", "deployment"), "", *pen.labels(*QUANTITIES)], len(QUANTITIES))
        families: list[list[Value]] = [
            [f.family, w(f"deployment.{f.deployment}"), "", *(getattr(f, q) for q in QUANTITIES)]
            for f in report.families
        ]
        row = pen.rows(sheet, row + 2, families, result=last)
    row += 1
    pen.write(sheet, row, 0, w("sentence.parts"), "label")
    if report.set_aside:
        row += 2
        pen.write(sheet, row, 0, w("heading.set_aside"), "heading")
        pen.head(sheet, row + 1, pen.labels("reason", "source", "events"), 1)
        pen.rows(sheet, row + 2, [[s.reason, s.source, s.events] for s in report.set_aside])


def _facts(report: Report, w: Words, standing: Standing, stored: bytes) -> list[tuple[str, Value, str]]:
    """Label, value and style, top to bottom; those without a value are left out."""

    def when(text: str) -> str:
        return f"{w.moment(text, report.time_zone)} ({report.time_zone})" if text else ""

    facts: list[tuple[str, Value | None, str]] = [
        ("from", _party(report.partner, w), "bold"), ("to", _party(report.distributor, w), "bold"),
        ("agreement", report.agreement, "text"), ("month", report.month, "month"),
        ("purchase_order", report.purchase_order, "text"), ("due", report.due.day, "day"),
        ("revision", revision_of(report, w, standing), "text"),
        ("state", w(f"state.{standing.state}"), "bold"),
        ("programme", report.programme, "text"), ("channel", report.channel, "text"),
        ("contract_date", report.contract_date, "day"), ("time_zone", report.time_zone, "text"),
        ("prepared", _joined(standing.prepared_by, when(standing.prepared_at)), "text"),
        ("approved", _joined(standing.approved_by, when(standing.approved_at)) or w("sentence.not_approved"), "text"),
        ("how", w(f"how.{standing.approved_how}") if standing.approved_how else None, "text"),
        ("submitted", when(standing.submitted_at), "text"), ("receipt", standing.receipt, "text"),
        ("seal_digest", report.seal.digest, "text"), ("report_sha256", hashlib.sha256(stored).hexdigest(), "text"),
    ]
    return [(w(f"label.{name}"), value, style) for name, value, style in facts if value]


def _correction(pen: _Pen, sheet: Any, row: int, report: Report) -> int:
    correction, w = report.correction, pen.w
    assert correction is not None
    pen.write(sheet, row, 0, w("heading.correction"), "heading")
    text = w("sentence.corrects", revision=report.revision, before=correction.of_revision, reason=correction.reason)
    pen.write(sheet, row + 1, 0, text, "text")
    if not correction.differences:
        pen.write(sheet, row + 2, 0, w("sentence.nothing_changes"), "text")
        return row + 3
    pen.head(sheet, row + 2, pen.labels("customer", "sku", "before", "after", "difference"), 3)
    rows: list[list[Value]] = [[d.tenant, d.sku, d.before, d.after, d.after - d.before] for d in correction.differences]
    return pen.rows(sheet, row + 3, rows, result=4)


def _lines(pen: _Pen, report: Report) -> None:
    names = (
        "customer_id", "customer_name", "sku", "product", "family", "deployment", "unit", "tier", *QUANTITIES, "rule"
    )  # fmt: skip
    sheet = pen.sheet("lines", [18, 28, 24, 30, 12, 12, 10, 8, *[11] * len(QUANTITIES), 18], landscape=True)
    labels = pen.labels(*names)
    pen.head(sheet, 0, labels)
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    rows: list[list[Value]] = [
        [
            line.tenant, line.tenant_name, line.sku, line.sku_name, line.family, pen.w(f"deployment.{line.deployment}"),
            pen.w(f"unit.{line.unit}"), line.tier, *(getattr(line, q) for q in QUANTITIES),
            line.rule.id if line.rule else "",
        ]
        for line in report.lines
    ]  # fmt: skip
    below = pen.rows(sheet, 1, rows, result=len(labels) - 2)
    if rows:
        sheet.autofilter(0, 0, len(rows), len(labels) - 1)
        pen.total(sheet, below, [pen.w("label.total"), *[""] * 7, *(getattr(report.total, q) for q in QUANTITIES), ""])


def _findings(pen: _Pen, report: Report) -> None:
    sheet = pen.sheet("findings", [12, 26, 70, 34, 40], landscape=True)
    pen.head(sheet, 0, pen.labels("severity", "kind", "remark", "rule", "waived"))
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    rows = [
        [
            pen.w(f"severity.{f.severity}"), pen.w.kind(f.kind), f.text,
            f"{f.rule.id}: {f.rule.source}" if f.rule else "",
            f"{f.waived.actor}: {f.waived.text} ({f.waived.reason})" if f.waived else "",
        ]
        for f in report.findings
    ]  # fmt: skip
    pen.rows(sheet, 1, rows, wrap=frozenset({1, 2, 3, 4}))


def _adjustments(pen: _Pen, report: Report) -> None:
    sheet = pen.sheet("adjustments", [20, 24, 11, 20, 60, 24], landscape=True)
    pen.head(sheet, 0, pen.labels("customer", "sku", "quantity", "reason", "explanation", "actor"))
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    rows: list[list[Value]] = [[a.tenant, a.sku, a.quantity, a.reason, a.text, a.actor] for a in report.adjustments]
    pen.rows(sheet, 1, rows, wrap=frozenset({4}))


def _party(party: Party, w: Words) -> str:
    return _joined(party.name, w("label.number", number=party.number) if party.number else "", *party.address)


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text)
