"""Writes order-form.xlsx: an order form such as a distributor sends out, with placeholders in its cells.

    python -m examples.forms.order_form

A form is edited in a spreadsheet program; this one is written by a script only so that everybody can see what is in it.
"""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter

FILE = Path(__file__).with_name("order-form.xlsx")
_INK, _PALE, _LINE = "#3D2C5E", "#F3F0F8", "#B9AFCB"


def order_form() -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        book.set_properties({"title": "Monthly order", "created": datetime(2026, 1, 1)})

        def style(**more: Any) -> Any:
            return book.add_format({"font_name": "Arial", "font_size": 10, "valign": "vcenter", **more})

        _order(book, style)
        _customers(book, style)
    return out.getvalue()


def _order(book: Any, style: Any) -> None:
    sheet = book.add_worksheet("Order")
    box = {"border": 1, "border_color": _LINE}
    label, field = style(font_color="#6B6280"), style(bottom=1, bottom_color=_LINE, text_wrap=True)
    head = style(bold=True, font_color="#FFFFFF", bg_color=_INK, text_wrap=True, **box)
    cell, count = style(text_wrap=True, **box), style(num_format="#,##0", **box)
    total = style(bold=True, bg_color=_PALE, num_format="#,##0", **box)
    for column, width in enumerate((5, 24, 36, 11, 12, 12)):
        sheet.set_column(column, column, width)
    sheet.hide_gridlines(2)

    sheet.set_row(0, 34)
    sheet.merge_range("A1:F1", "Monthly order · {{month}}", style(bold=True, font_size=18, font_color=_INK))
    sheet.merge_range("A2:F2", "{{mark}}", style(bold=True, font_size=14, font_color="#B3261E"))
    fields = (
        ("Partner", "{{partner.name}}"), ("Partner no.", "{{partner.number}}"), ("Address", "{{partner.address}}"),
        ("Purchase order", "{{purchase_order}}"), ("Agreement", "{{agreement}}, revision {{revision}}"),
        ("Due", "{{due}}"),
    )  # fmt: skip
    lined = style(bottom=1, bottom_color=_LINE, align="left", text_wrap=True)
    for row, (name, placeholder) in enumerate(fields, 3):
        sheet.write_string(row, 1, name, label)
        sheet.merge_range(row, 2, row, 5, placeholder, lined)
    sheet.set_row(5, 28)

    for column, text in enumerate(("No.", "Article", "Description", "Unit", "Quantity", "of it free, beside")):
        sheet.write_string(10, column, text, head)
    sheet.set_row(10, 28)
    row = ("{{skus.number}}", "{{skus.code}}", "{{skus.name}}", "{{skus.unit}}", "{{skus.reported}}", "{{skus.free}}")
    for column, placeholder in enumerate(row):
        sheet.write_string(11, column, placeholder, count if column in (0, 4, 5) else cell)
    sheet.set_row(11, 20)
    sheet.merge_range("A13:D13", "Total", total)
    sheet.write_formula("E13", "=SUM(E12:E12)", total, 0)
    sheet.write_formula("F13", "=SUM(F12:F12)", total, 0)
    sheet.set_row(12, 22)
    sheet.write_string("B15", "Total reported", label)
    sheet.write_string("C15", "{{total.reported}}", style(num_format="#,##0", align="left"))
    sheet.write_string("B16", "Check", label)
    sheet.write_formula("C16", '=IF(E13=C15,"agrees","DIFFERS: do not send")', style(bold=True), "")
    sheet.write_string("B18", "Approved by", label)
    sheet.write_string("C18", "{{approved_by}}", field)
    sheet.write_string("B19", "Date", label)
    sheet.write_string("C19", "{{approved_on}}", style(bottom=1, bottom_color=_LINE, align="left"))
    sheet.write_string("B20", "Cost centre", label)
    sheet.write_string("C20", "subscription", field)

    sheet.conditional_format("E12:E12", {
        "type": "cell", "criteria": "==", "value": 0, "format": book.add_format({"font_color": "#9A93A8"}),
    })  # fmt: skip
    sheet.conditional_format("C16", {
        "type": "formula", "criteria": "=$E$13<>$C$15", "format": book.add_format({"bg_color": "#F9D7D5"}),
    })  # fmt: skip
    sheet.data_validation("C20", {"validate": "list", "source": ["subscription", "perpetual"]})
    book.define_name("OrderTotal", "=Order!$E$13")
    sheet.freeze_panes(11, 0)
    sheet.repeat_rows(10)
    sheet.print_area("A1:F20")
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.set_footer("&C&P / &N")


def _customers(book: Any, style: Any) -> None:
    sheet = book.add_worksheet("Per customer")
    head = style(bold=True, font_color="#FFFFFF", bg_color=_INK)
    columns = (
        ("Customer", "{{lines.tenant_name}}", 34), ("Article", "{{lines.sku}}", 24),
        ("Users", "{{lines.reported}}", 12),
    )  # fmt: skip
    for column, (name, placeholder, width) in enumerate(columns):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, name, head)
        sheet.write_string(1, column, placeholder, style(num_format="#,##0"))
    sheet.write_string(2, 0, "Total", style(bold=True))
    sheet.write_formula(2, 2, "=SUM(C2:C2)", style(bold=True, num_format="#,##0", top=1), 0)
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)


if __name__ == "__main__":
    FILE.write_bytes(order_form())
