"""A distributor's own form: placeholders, repeated rows, formulas that follow, and what is refused."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from openpyxl.styles import Font, PatternFill
from openpyxl.workbook import Workbook
from python_calamine import CalamineWorkbook

from examples.forms.order_form import FILE, order_form
from infra.errors import ConfigurationError
from schemas.report import Correction, Difference, Report, Standing
from stream_jobs.month_close.forms.fill import fill
from stream_jobs.month_close.forms.page import QUANTITIES
from stream_jobs.month_close.forms.template import read_template
from stream_jobs.month_close.forms.template_formula import Rows, Unmovable, moved, own_place, own_row
from stream_jobs.month_close.forms.template_names import GROUPS, SCALARS
from tests.unit import report_basis as basis

DRAFT = Standing(state="draft", prepared_by="alice", prepared_at="2026-11-04T01:02:03Z")
DOCS = Path(__file__).parents[2] / "docs" / "forms.md"
# Row 4 stands three times, row 9 twice: rows 5 to 8 move by two, those from 10 on by three.
MOVES = {"form": Rows({4: 3, 9: 2})}


def made(counts: dict[tuple[str, str], int] | None = None, **more: Any) -> Report:
    return basis.report(counts or {("a", "S1"): 3, ("b", "S1"): 4, ("a", "S2"): 7, ("a", "P1"): 5}, **more)


def book(cells: dict[str, Any], title: str = "Form") -> Workbook:
    made = Workbook()
    made.worksheets[0].title = title
    for place, value in cells.items():
        made.worksheets[0][place] = value
    return made


def raw(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def form(cells: dict[str, Any]) -> bytes:
    return raw(book(cells))


def filled(content: bytes, report: Report | None = None, language: Any = "en") -> Workbook:
    return openpyxl.load_workbook(io.BytesIO(fill(content, report or made(), language, DRAFT)))


def problems(content: bytes) -> list[str]:
    return [str(problem) for problem in read_template(content).problems]


@pytest.mark.parametrize(("before", "after"), [
    ("=SUM(E4:E4)", "=SUM(E4:E6)"),
    ("=SUM(E3:E4)", "=SUM(E3:E6)"),
    ("=SUM(E$4:E$5)", "=SUM(E$4:E$7)"),
    ("=SUM(E1:E3)", "=SUM(E1:E3)"),
    ("=SUM(E5:E8)*Rate", "=SUM(E7:E10)*Rate"),
    ("=SUM(E2:E12)", "=SUM(E2:E15)"),
    ("=SUM(E9:E9,E4:E4)", "=SUM(E11:E12,E4:E6)"),
    ("=SUM(E9:E4)", "=SUM(E12:E4)"),
    ("=SUM(E:E)+SUM(4:4)", "=SUM(E:E)+SUM(4:6)"),
    ("=$E$5+e10", "=$E$7+e13"),
    ('=IF(A1="E5","E5:E9",E5)', '=IF(A1="E5","E5:E9",E7)'),
    ("=SUM(E1:E1048576)", "=SUM(E1:E1048576)"),
    ("=Other!E9+'Form'!E5", "=Other!E9+'Form'!E7"),
    ("=SUM(Order[Quantity])+LOG10(E3)", "=SUM(Order[Quantity])+LOG10(E3)"),
])  # fmt: skip
def test_formulas_move_as_rows_are_inserted(before: str, after: str) -> None:
    assert moved(before, "Form", MOVES) == after


@pytest.mark.parametrize(("before", "copies"), [
    ("=C4*D4", ["=C4*D4", "=C5*D5", "=C6*D6"]),
    ("=C4*D$2", ["=C4*D$2", "=C5*D$2", "=C6*D$2"]),
    ("=SUM(E$4:E4)", ["=SUM(E$4:E4)", "=SUM(E$4:E5)", "=SUM(E$4:E6)"]),
    ("=E4/E$5", ["=E4/E$7", "=E5/E$7", "=E6/E$7"]),
    ("=E4/SUM(E$4:E$4)", ["=E4/SUM(E$4:E$6)", "=E5/SUM(E$4:E$6)", "=E6/SUM(E$4:E$6)"]),
    ("=VLOOKUP(B4,Prices!$A$2:$B$90,2)", [f"=VLOOKUP(B{row},Prices!$A$2:$B$90,2)" for row in (4, 5, 6)]),
])  # fmt: skip
def test_formulas_of_a_repeated_row_follow_their_copy(before: str, copies: list[str]) -> None:
    assert [moved(before, "Form", MOVES, own_row("Form", 4, index, MOVES)) for index in range(3)] == copies


def test_conditions_keep_their_distance() -> None:
    below = own_place("Form", [(6, 7)], MOVES)
    assert moved("$C6>$E$5+C7", "Form", MOVES, below) == "$C8>$E$7+C9"
    grown = own_place("Form", [(4, 5)], MOVES)
    assert moved("$C4>0", "Form", MOVES, grown) == "$C4>0"
    with pytest.raises(Unmovable, match=r"across the repeated row 4: write \$3"):
        moved("$C3>0", "Form", MOVES, grown)


@pytest.mark.parametrize(("formula", "why"), [
    ("=E4*2", "which copy is meant"),
    ('=SUM(INDIRECT("E4"))', "computes an address"),
    ("=SUM(OFFSET(E4,0,0))", "computes an address"),
    ("=SUM(A:C!E4)", "cannot be followed"),
    ("=[1]Form!E4", "cannot be followed"),
    ("=E4:INDEX(E:E,9)", "cannot be followed"),
])  # fmt: skip
def test_formulas_that_could_go_wrong_are_refused(formula: str, why: str) -> None:
    with pytest.raises(Unmovable, match=why):
        moved(formula, "Form", MOVES)
    assert moved(formula, "Form", {}) == formula, "without a repeated row nothing moves"


@pytest.mark.parametrize("formula", ["=E4/E5", "=E4+E3", "=E4*Prices!B4"])
def test_a_repeated_row_refers_to_others_by_dollar_only(formula: str) -> None:
    with pytest.raises(Unmovable, match=r"write \$"):
        moved(formula, "Form", MOVES, own_row("Form", 4, 1, MOVES))


def test_the_example_is_what_its_script_writes() -> None:
    assert FILE.read_bytes() == order_form()
    assert problems(order_form()) == []


def test_every_number_of_the_form_is_the_reports() -> None:
    report = made(left_out=[("a", "S2", "free", 2)])
    content = fill(order_form(), report, "en", DRAFT)
    read = CalamineWorkbook.from_filelike(io.BytesIO(content))
    order = read.get_sheet_by_name("Order").to_python()
    rows = [(row[0], row[1], row[4], row[5]) for row in order[11 : 11 + len(report.skus)]]
    assert rows == [(i, s.sku, s.reported, s.free) for i, s in enumerate(report.skus, 1)]
    assert order[0][0] == "Monthly order · October 2026"
    assert [row[2] for row in order if row[1] == "Total reported"] == [report.total.reported]
    lines = read.get_sheet_by_name("Per customer").to_python()
    assert [tuple(row) for row in lines[1 : 1 + len(report.lines)]] == [
        (line.tenant_name, line.sku, line.reported) for line in report.lines
    ]


def test_the_totals_range_grows_over_every_copy() -> None:
    report = made()
    sheet = filled(order_form(), report)["Order"]
    assert len(report.skus) == 3
    assert sheet["E15"].value == "=SUM(E12:E14)"
    assert sum(sheet[f"E{row}"].value for row in (12, 13, 14)) == report.total.reported
    assert sheet["C18"].value == '=IF(E15=C17,"agrees","DIFFERS: do not send")'
    assert filled(order_form(), report)["Per customer"]["C6"].value == "=SUM(C2:C5)"


def test_the_layout_is_kept() -> None:
    before, after = openpyxl.load_workbook(FILE), filled(order_form())
    old, new = before["Order"], after["Order"]
    assert {str(area) for area in new.merged_cells.ranges} == {
        "A1:F1", "A2:F2", *(f"C{row}:F{row}" for row in range(4, 10)), "A15:D15"
    }  # fmt: skip
    assert [new.row_dimensions[row].height for row in (11, 12, 13, 14, 15)] == [
        old.row_dimensions[row].height for row in (11, 12, 12, 12, 13)
    ]
    assert {c: d.width for c, d in new.column_dimensions.items()} == {
        c: d.width for c, d in old.column_dimensions.items()
    }
    assert (new.freeze_panes, new.print_title_rows) == (old.freeze_panes, "$11:$11")
    assert new.print_area == "'Order'!$A$1:$F$22"
    assert [(str(f.sqref), f.rules[0].formula) for f in new.conditional_formatting] == [
        ("E12:E14", ["0"]), ("C18", ["$E$15<>$C$17"])
    ]  # fmt: skip
    assert [str(v.sqref) for v in new.data_validations.dataValidation] == ["C22"]
    assert after.defined_names["OrderTotal"].value == "Order!$E$15"
    for row in (12, 13, 14):
        for column in "ABCDEF":
            assert _look(new, column, row) == _look(old, column, 12)
    assert (new["E15"].font.b, new["E15"].fill.fgColor.rgb) == (True, old["E13"].fill.fgColor.rgb)


def _look(sheet: Any, column: str, row: int) -> tuple[Any, ...]:
    cell = sheet[f"{column}{row}"]
    return repr(cell.font), repr(cell.fill), repr(cell.border), repr(cell.alignment), cell.number_format


def test_a_report_of_zero_leaves_one_row_of_zero() -> None:
    sheet = filled(order_form(), basis.report({}))["Order"]
    assert [sheet[f"{column}12"].value for column in "ABCDEF"] == [None, None, None, None, 0, 0]
    assert sheet["E13"].value == "=SUM(E12:E12)"


def test_numbers_and_days_can_be_calculated_with_and_texts_are_in_the_language() -> None:
    content = form({"A1": "{{ total.reported }}", "A2": "{{due}}", "A3": "{{month}}: {{total.reported}}, {{due}}"})
    report = made({("a", "S1"): 12345})
    sheet = filled(content, report, "nl").worksheets[0]
    assert sheet["A1"].value == 12345
    assert sheet["A2"].value.date() == report.due.day
    assert sheet["A3"].value == "oktober 2026: 12.345, 10 november 2026"
    assert filled(content, report, "ja").worksheets[0]["A3"].value == "2026年10月: 12,345, 2026年11月10日"


def test_a_text_that_begins_with_an_equals_sign_stays_a_text() -> None:
    held = basis.catalogue(tenants=[{"id": "a", "name": "=cmd|' /C calc'!A0"}, {"id": "b", "name": "#REF!"}])
    report = made({("a", "S1"): 1, ("b", "S1"): 2}, of=held)
    sheet = filled(form({"A1": "{{lines.tenant_name}}", "B1": "{{lines.reported}}"}), report).worksheets[0]
    assert [(sheet[f"A{row}"].data_type, sheet[f"A{row}"].value) for row in (1, 2)] == [
        ("s", "=cmd|' /C calc'!A0"), ("s", "#REF!")
    ]  # fmt: skip


def test_skus_and_families_one_by_one() -> None:
    content = form({
        "A1": "{{sku.S1.reported}}", "A2": "{{sku.S2.measured}}", "A3": "{{sku.P1.reported}}", "A4": "{{sku.X.Y.free}}",
        "B1": "{{family.DaaS.cloud.reported}}", "B2": "{{family.Apps.on-prem.reported}}",
    })  # fmt: skip
    sheet = filled(content).worksheets[0]
    assert [sheet[f"A{row}"].value for row in (1, 2, 3, 4)] == [7, 7, 5, 0]
    assert [sheet[f"B{row}"].value for row in (1, 2)] == [14, 5]


@pytest.mark.parametrize(("cell", "missing"), [
    ("{{sku.S1.reported}}", r"no place for P1, of which 5 are reported: add \{\{sku.P1.reported\}\}"),
    ("{{family.DaaS.cloud.reported}}", r"no place for Apps, of which 5 .* \{\{family.Apps.on-prem.reported\}\}"),
])  # fmt: skip
def test_a_form_without_a_place_for_what_is_reported_is_refused(cell: str, missing: str) -> None:
    with pytest.raises(ConfigurationError, match=missing):
        fill(form({"A1": cell, "A2": "{{total.reported}}"}), made(), "en", DRAFT)


def test_every_placeholder_has_a_value_and_is_documented() -> None:
    groups = [f"{group}.{field}" for group, held in GROUPS.items() for field in held.fields]
    cells = {f"A{row}": f"{{{{{name}}}}}" for row, name in enumerate(SCALARS, 1)}
    for row, (group, held) in enumerate(GROUPS.items(), 100):
        cells |= {f"{chr(65 + i)}{row}": f"{{{{{group}.{field}}}}}" for i, field in enumerate(held.fields)}
    change = Correction(
        of_revision=1, reason="late", differences=[Difference(tenant="a", sku="S1", before=1, after=3)]
    )
    report = made(adjustments=[basis.adjusted("a", "S1", 2)]).model_copy(update={"correction": change})
    sheet = filled(form(cells), report).worksheets[0]
    assert not [cell.coordinate for row in sheet.iter_rows() for cell in row if "{{" in str(cell.value)]
    documented = set(re.findall(r"`([a-z_.]+)`", DOCS.read_text("utf-8")))
    assert {*QUANTITIES, "total.reported"} <= documented
    names = {*SCALARS, *groups} - {f"{what}.{q}" for what in ("total", *GROUPS) for q in QUANTITIES}
    assert not names - documented


def test_the_same_bytes_twice() -> None:
    assert fill(order_form(), made(), "ja", DRAFT) == fill(order_form(), made(), "ja", DRAFT)


def test_other_sheets_names_tables_breaks_and_links_follow() -> None:
    held = book({"A3": "name", "B3": "users", "A4": "{{skus.code}}", "B4": "{{skus.reported}}", "A9": "end"})
    sheet, other = held.worksheets[0], held.create_sheet("The sum")
    other["A1"], other["A2"] = "=SUM(Form!B4:B4)", "=Form!A9"
    table = openpyxl.worksheet.table.Table(displayName="Order", ref="A3:B4")
    sheet.add_table(table)
    sheet.row_breaks.append(openpyxl.worksheet.pagebreak.Break(id=8))
    sheet["A9"].hyperlink = "https://distributor.example/"
    sheet["A9"].font, sheet["A9"].fill = Font(b=True), PatternFill("solid", "FFEEEEEE")
    after = filled(raw(held))
    assert [after["The sum"][place].value for place in ("A1", "A2")] == ["=SUM(Form!B4:B6)", "=Form!A11"]
    there = after["Form"]
    assert there.tables["Order"].ref == "A3:B6"
    assert [b.id for b in there.row_breaks.brk] == [10]
    assert (there["A11"].hyperlink.ref, there["A11"].hyperlink.target) == ("A11", "https://distributor.example/")
    assert (there["A11"].font.b, there["A11"].fill.fgColor.rgb) == (True, "FFEEEEEE")


@pytest.mark.parametrize(("cells", "why"), [
    ({"B2": "{{totl.reported}}"}, "Form!B2: {{totl.reported}} means nothing; did you mean total.reported?"),
    ({"B2": "{{skus.cod}}"}, "did you mean skus.code?"),
    ({"B2": "{{sku.S1.reportd}}"}, "did you mean reported?"),
    ({"B2": "{{family.DaaS.clod.reported}}"}, "write cloud or on-prem"),
    ({"B2": "{{month"}, "Form!B2: holds a placeholder that is not closed"),
    ({"B2": "｛｛month｝｝"}, "full-width braces"),
    ({"B2": '="x {{month}}"'}, "Form!B2: a formula cannot hold a placeholder"),
    ({"B2": "{{skus.code}}", "C2": "{{lines.sku}}"}, "row 2 cannot be repeated for skus and lines"),
    ({"B2": "month"}, "no placeholder"),
    ({"B2": "{{skus.reported}}", "B3": "=B2"}, "Form!B3: the formula =B2 refers to B2, of the repeated row 2"),
    ({"B2": "{{skus.reported}}", "C2": "=B2/B3"}, "Form!C2: the formula =B2/B3 refers to row 3 from the repeated"),
])  # fmt: skip
def test_what_cannot_be_filled_is_named_with_its_cell(cells: dict[str, str], why: str) -> None:
    assert any(why in problem for problem in problems(form(cells))), problems(form(cells))
    with pytest.raises(ConfigurationError, match="the form cannot be filled"):
        fill(form(cells), made(), "en", DRAFT)


def _merged_over(held: Workbook) -> None:
    held.worksheets[0].merge_cells("D1:D3")


def _frozen_below(held: Workbook) -> None:
    held.worksheets[0].freeze_panes = "A4"


def _named(held: Workbook) -> None:
    held.defined_names["First"] = openpyxl.workbook.defined_name.DefinedName("First", attr_text="Form!$A$2")


def _noted(held: Workbook) -> None:
    held.worksheets[0]["C1"] = "x"
    held.worksheets[0]["C1"].comment = openpyxl.comments.Comment("{{month}}", "me")


def _headed(held: Workbook) -> None:
    held.worksheets[0].oddHeader.left.text = "{{month}}"


@pytest.mark.parametrize(("change", "why"), [
    (_merged_over, "Form!D1:D3: is merged over the repeated row 2"),
    (_frozen_below, "Form!row 2: is repeated, and among the frozen rows"),
    (_named, "the name First: refers to Form!$A$2, of the repeated row 2, by itself"),
    (_noted, "Form!C1: placeholders are filled in cells"),
    (_headed, "Form: placeholders are filled in cells"),
])  # fmt: skip
def test_what_cannot_follow_is_named(change: Callable[[Workbook], None], why: str) -> None:
    held = book({"A2": "{{skus.code}}"})
    change(held)
    assert any(why in problem for problem in problems(raw(held))), problems(raw(held))


def _picture() -> io.BytesIO:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return io.BytesIO(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")
    )


def _chart(book: Any, sheet: Any) -> None:
    chart = book.add_chart({"type": "column"})
    chart.add_series({"values": "=Form!$B$1:$B$2"})
    sheet.insert_chart("D5", chart)


@pytest.mark.parametrize(("draw", "why"), [
    (_chart, "Form!D5: holds a chart"),
    (lambda book, sheet: sheet.insert_image("C3", "seal.png", {"image_data": _picture()}), "Form!C3: holds a picture"),
    (lambda book, sheet: sheet.insert_textbox("B7", "seal here"), "Form!B7: holds a shape or text box"),
    (lambda book, sheet: sheet.insert_button("B7", {"caption": "Send"}), "Form: holds a form control (Button)"),
    (lambda book, sheet: sheet.add_sparkline("B7", {"range": "A1:A3"}), "Form: holds conditional formats, validations"),
    (lambda book, sheet: sheet.conditional_format("A1", {"type": "data_bar", "data_bar_2010": True}), "newer kind"),
    (lambda book, sheet: sheet.write_dynamic_array_formula("B7:B8", "=UNIQUE(A1:A2)"), "dynamic array formula"),
    (lambda book, sheet: sheet.write_rich_string("B7", "of ", book.add_format({"bold": True}), "{{month}}"),
     "Form!B7: a placeholder is in a text of several formats"),
])  # fmt: skip
def test_what_would_be_lost_is_refused(draw: Callable[[Any, Any], Any], why: str) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as held:
        sheet = held.add_worksheet("Form")
        sheet.write_string("A1", "{{month}}")
        draw(held, sheet)
    found = problems(out.getvalue())
    assert any(why in problem for problem in found), found


@pytest.mark.parametrize(("part", "why"), [
    ("xl/vbaProject.bin", "macros"), ("xl/pivotTables/pivotTable1.xml", "a pivot table"),
    ("xl/externalLinks/externalLink1.xml", "a link to another workbook"), ("xl/strange.xml", "the part xl/strange.xml"),
])  # fmt: skip
def test_parts_that_would_be_lost_are_refused(part: str, why: str) -> None:
    out = io.BytesIO(form({"A1": "{{month}}"}))
    with zipfile.ZipFile(out, "a") as pack:
        pack.writestr(part, b"<x/>")
    assert [p for p in problems(out.getvalue()) if why in p]


def test_what_is_no_workbook_is_refused() -> None:
    for content in (b"not a zip", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 encrypted"):
        with pytest.raises(ConfigurationError, match="not an XLSX workbook"):
            read_template(content)
