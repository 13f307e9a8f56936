"""The report as a workbook: what is ordered on the first sheet, then the lines, findings and adjustments.

Numbers and days are cells that can be calculated with, in the format of the language. A customer's text is always a
text, also where it begins with `=`. The same report and standing give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from schemas.agreement import Language
from schemas.report import Quantities, Report, Standing
from stream_jobs.month_close.forms.page import QUANTITIES, page
from stream_jobs.month_close.forms.words import Words, words

Cell = str | int | date | None

_INK, _PALE = "#1B3A5C", "#EDF1F6"
_DAYS: dict[Language, str] = {"en": "d mmmm yyyy", "ja": 'yyyy"年"m"月"d"日"', "nl": "d mmmm yyyy"}
_LCIDS: dict[Language, str] = {"en": "[$-809]", "ja": "[$-411]", "nl": "[$-413]"}
"""So that a month's name is written in the report's language, whatever the reader's is."""
_WIDEST = 60


def workbook(report: Report, language: Language, standing: Standing, stored: bytes) -> bytes:
    """The bytes of an XLSX file. `stored` is the report's JSON, whose SHA-256 is printed."""
    target = io.BytesIO()
    w = words(language)
    with xlsxwriter.Workbook(target, {"in_memory": True, "strings_to_formulas": False}) as book:
        book.set_properties({
            "title": f"{w('title.report')} {report.agreement} {w.month(report.month)}", "author": report.partner.name,
            "created": datetime(report.month.year, report.month.month, 1, tzinfo=UTC).replace(tzinfo=None),
        })  # fmt: skip
        styles = _Styles(book, language)
        _order(_Sheet(book, styles, w("sheet.report")), report, w, standing, stored)
        _lines(_Sheet(book, styles, w("sheet.lines")), report, w)
        _findings(_Sheet(book, styles, w("sheet.findings")), report, w)
        _adjustments(_Sheet(book, styles, w("sheet.adjustments")), report, w)
    return target.getvalue()


class _Styles:
    def __init__(self, book: xlsxwriter.Workbook, language: Language) -> None:
        font = {"font_name": "Yu Gothic" if language == "ja" else "Calibri", "font_size": 10, "valign": "top"}

        def style(**more: Any) -> Format:
            return book.add_format({**font, **more})

        self.text, self.wrapped = style(), style(text_wrap=True)
        self.number = style(num_format="#,##0;-#,##0;0")
        self.day = style(num_format=_LCIDS[language] + _DAYS[language], align="left")
        self.total, self.total_number = style(bold=True, top=1), style(bold=True, top=1, num_format="#,##0")
        self.head = style(bold=True, font_color="#FFFFFF", bg_color=_INK)
        self.head_number = style(bold=True, font_color="#FFFFFF", bg_color=_INK, align="right")
        self.label = style(font_color="#5A6675")
        self.title = style(bold=True, font_size=18, font_color=_INK)
        self.section = style(bold=True, font_size=12, font_color=_INK)
        self.mark = style(bold=True, font_size=18, font_color="#B3261E")
        self.code = style(font_name="Consolas", font_size=8, font_color="#5A6675")


class _Sheet:
    """Writes from the top to the bottom, and remembers how wide each column must be."""

    def __init__(self, book: xlsxwriter.Workbook, styles: _Styles, name: str) -> None:
        self.sheet: Worksheet = book.add_worksheet(name)
        self.styles, self.row = styles, 0
        self._widths: dict[int, int] = {}
        self.sheet.set_paper(9)
        self.sheet.set_landscape()
        self.sheet.fit_to_pages(1, 0)
        self.sheet.set_margins(0.5, 0.5, 0.6, 0.6)
        self.sheet.hide_gridlines(2)

    def put(self, cells: Sequence[Cell], *, total: bool = False, wrap: int | None = None) -> None:
        """A row of values; column `wrap` may take several lines."""
        for column, value in enumerate(cells):
            self._cell(column, value, total, column == wrap)
        self.row += 1

    def head(self, cells: Sequence[str], numbers: Iterable[int]) -> None:
        """The names of the columns; those of numbers stand to the right."""
        right = set(numbers)
        for column, text in enumerate(cells):
            self._fit(column, text)
            self.sheet.write_string(
                self.row, column, text, self.styles.head_number if column in right else self.styles.head
            )
        self.row += 1

    def line(self, text: str, style: Format) -> None:
        """A text across the sheet, which widens no column."""
        self.sheet.write_string(self.row, 0, text, style)
        self.row += 1

    def finish(self, repeat: int | None = None) -> None:
        """`repeat`: the row of column names, kept in sight and printed on each page."""
        for column, width in self._widths.items():
            self.sheet.set_column(column, column, min(max(width, 8), _WIDEST) + 2)
        if repeat is not None:
            self.sheet.freeze_panes(repeat + 1, 0)
            self.sheet.repeat_rows(repeat)
        self.sheet.set_footer("&L&A&R&P / &N")

    def _cell(self, column: int, value: Cell, total: bool, wrap: bool) -> None:
        s = self.styles
        if isinstance(value, int):
            self._fit(column, f"{value:,}")
            self.sheet.write_number(self.row, column, value, s.total_number if total else s.number)
        elif isinstance(value, date):
            self._fit(column, "30 september 2026")
            self.sheet.write_datetime(self.row, column, datetime(value.year, value.month, value.day), s.day)
        elif value is not None:
            self._fit(column, value)
            self.sheet.write_string(self.row, column, value, s.total if total else s.wrapped if wrap else s.text)

    def _fit(self, column: int, text: str) -> None:
        # A Japanese character is as wide as two Latin ones.
        width = sum(2 if ord(character) > 0x2E7F else 1 for character in text)
        self._widths[column] = max(self._widths.get(column, 0), width)


def _order(sheet: _Sheet, report: Report, w: Words, standing: Standing, stored: bytes) -> None:
    printed = page(report, w, standing, stored)
    sheet.line(f"{printed['title']} · {printed['subtitle']}", sheet.styles.title)
    if printed["mark"]:
        sheet.line(printed["mark"], sheet.styles.mark)
    sheet.row += 1
    for party in (printed["from"], printed["to"]):
        sheet.put([party["label"], party["name"]])
        for line in party["lines"]:
            sheet.put([None, line])
    for label, text in printed["facts"]:
        sheet.put([label, report.due.day if label == w("label.due") else text])
    if printed["zero"]:
        sheet.line(printed["zero"], sheet.styles.section)
    if report.correction is not None:
        sheet.line(printed["correction"]["text"], sheet.styles.section)
    sheet.row += 1
    sheet.line(w("heading.order"), sheet.styles.section)
    sheet.head([w("label.sku"), w("label.product"), *_heads(w)], range(2, 9))
    for sku in report.skus:
        sheet.put([sku.sku, sku.sku_name, *_quantities(sku)])
    sheet.put([w("label.total"), "", *_quantities(report.total)], total=True)
    sheet.line(w("sentence.parts"), sheet.styles.label)
    sheet.row += 1
    sheet.line(w("heading.families"), sheet.styles.section)
    sheet.head([w("label.family"), w("label.deployment"), *_heads(w)], range(2, 9))
    for family in report.families:
        sheet.put([family.family, w(f"deployment.{family.deployment}"), *_quantities(family)])
    sheet.row += 1
    sheet.line(w("heading.approval"), sheet.styles.section)
    for row in printed["approval"]["rows"]:
        sheet.put(row)
    sheet.row += 1
    for label, digest in printed["footer"]["digests"]:
        sheet.line(f"{label} {digest}", sheet.styles.code)
    sheet.finish()


def _lines(sheet: _Sheet, report: Report, w: Words) -> None:
    names = ("customer", "customer", "sku", "product", "family", "deployment", "unit", "tier")
    sheet.head([*(w(f"label.{name}") for name in names), *_heads(w), w("label.rule")], range(8, 15))
    for line in report.lines:
        rule = f"{line.rule.id}: {line.rule.source}" if line.rule else ""
        sheet.put([
            line.tenant, line.tenant_name, line.sku, line.sku_name, line.family, w(f"deployment.{line.deployment}"),
            w(f"unit.{line.unit}"), line.tier, *_quantities(line), rule,
        ])  # fmt: skip
    sheet.put([w("label.total"), *[""] * 7, *_quantities(report.total)], total=True)
    sheet.finish(repeat=0)


def _findings(sheet: _Sheet, report: Report, w: Words) -> None:
    sheet.head([w(f"label.{name}") for name in ("severity", "remark", "explanation", "rule", "waived")], ())
    for finding in report.findings:
        waived, rule = finding.waived, finding.rule
        sheet.put(
            [
                w(f"severity.{finding.severity}"), w.kind(finding.kind), finding.text,
                f"{rule.id}: {rule.source}" if rule else "",
                f"{waived.actor}: {waived.text} ({waived.reason})" if waived else "",
            ],
            wrap=2,
        )  # fmt: skip
    for aside in report.set_aside:
        sheet.put(["", w("heading.set_aside"), f"{aside.source}: {aside.reason}", "", aside.events])
    sheet.finish(repeat=0)


def _adjustments(sheet: _Sheet, report: Report, w: Words) -> None:
    names = ("customer", "sku", "quantity", "reason", "explanation", "actor")
    sheet.head([w(f"label.{name}") for name in names], [2])
    for a in report.adjustments:
        sheet.put([a.tenant, a.sku, a.quantity, a.reason, a.text, a.actor], wrap=4)
    if report.correction is not None:
        sheet.row += 1
        sheet.line(w("heading.correction"), sheet.styles.section)
        sheet.head([w(f"label.{name}") for name in ("customer", "sku", "before", "after", "difference")], [2, 3, 4])
        for d in report.correction.differences:
            sheet.put([d.tenant, d.sku, d.before, d.after, d.after - d.before])
    sheet.finish(repeat=0)


def _heads(w: Words) -> list[str]:
    return [w(f"label.{name}") for name in QUANTITIES]


def _quantities(q: Quantities) -> list[int]:
    return [getattr(q, name) for name in QUANTITIES]
