"""A report as a file: the words of each language, CSV, JSON, the workbook and the printed page."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import string
import zlib
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Any, get_args

import pytest
import typst
from python_calamine import CalamineWorkbook

from schemas.agreement import Language
from schemas.ledger import Approved
from schemas.parts import Deployment, Severity, Unit
from schemas.report import (
    Adjustment,
    Correction,
    Difference,
    Finding,
    Line,
    Report,
    RuleCited,
    SetAside,
    Standing,
    State,
    Waiver,
)
from schemas.rules import Rule
from stream_jobs.month_close.forms import pdf as printing
from stream_jobs.month_close.forms.lines_csv import COLUMNS
from stream_jobs.month_close.forms.page import QUANTITIES, page
from stream_jobs.month_close.forms.render import file_name, render
from stream_jobs.month_close.forms.words import LANGUAGES, words
from stream_jobs.month_close.report.totals import family_totals, sku_totals, total
from tests.unit import report_basis

DRAFT = Standing(state="draft", prepared_by="alice", prepared_at="2026-11-04T01:12:00Z")
APPROVED = Standing(
    state="approved", prepared_by="alice", prepared_at="2026-11-04T01:12:00Z", approved_by="bob",
    approved_at="2026-11-04T23:30:00Z", approved_how="os-user",
)  # fmt: skip
EVIL = '=HYPERLINK("http://x.example","y")'
RARE = "髙﨑㈱"


def line(tenant: str, sku: str, measured: int, name: str = "", **more: Any) -> Line:
    held = {"excluded": 0, "trial": 0, "free": 0, "adjusted": 0, "shortfall": 0, **more}
    reported = measured - held["excluded"] - held["trial"] - held["free"] + held["adjusted"] + held["shortfall"]
    return Line(
        tenant=tenant, tenant_name=name or f"Customer {tenant}", sku=sku, sku_name=f"Product {sku}", family="DaaS",
        deployment="cloud", unit="user", measured=measured, reported=reported, **more,
    )  # fmt: skip


def made(lines: list[Line] | None = None, **more: Any) -> Report:
    """A report with every part, of these lines."""
    held = lines if lines is not None else [
        line("a", "S1", 1250, RARE, excluded=3, free=2), line("a", "S2", 40, RARE), line("b", "S1", 7, EVIL, trial=4),
        line("b", "S2", 10, EVIL, adjusted=-12),
    ]  # fmt: skip
    plain = report_basis.report({("a", "S1"): 1})
    parts: dict[str, Any] = {
        "lines": held, "skus": sku_totals(held), "families": family_totals(held), "total": total(held),
        "purchase_order": "PO-7",
        "adjustments": [
            Adjustment(place=3, tenant="b", sku="S2", quantity=-12, reason="credit", text=EVIL, actor="alice")
        ],
        "findings": [
            Finding(id="variance:DaaS", kind="variance", severity="blocking", text="DaaS has doubled.",
                    rule=RuleCited(id="v-1", source="house rule"),
                    waived=Waiver(place=4, reason="known", text="a new customer", actor="alice")),
            Finding(id="arriving", kind="arriving", severity="info", text="Only for those inside."),
        ],
        "set_aside": [SetAside(reason="unknown_product", source="/citrix/1", events=1204, of_month="event")],
    }  # fmt: skip
    return plain.model_copy(update={**parts, **more})


def sheets(content: bytes) -> dict[str, list[list[Any]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def flat(texts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {f"{section}.{key}": text for section, held in texts.items() for key, text in held.items()}


# Words.


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_values_to_fill_in(language: Language) -> None:
    english, other = flat(words("en").texts), flat(words(language).texts)
    assert other.keys() == english.keys()
    for key, text in other.items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (text, english[key])]
        assert fields[0] == fields[1], key
        assert text or key == "sentence.findings_are_english", key


def test_every_state_kind_and_code_has_words() -> None:
    w = words("en")
    kinds = {get_args(rule.model_fields["kind"].annotation)[0] for rule in get_args(get_args(Rule)[0])}
    for section, codes in {
        "state": get_args(State), "severity": get_args(Severity), "unit": get_args(Unit), "kind": kinds,
        "deployment": get_args(Deployment), "how": get_args(Approved.model_fields["how"].annotation),
    }.items():  # fmt: skip
        assert set(codes) <= w.texts[section].keys()


@pytest.mark.parametrize(
    ("language", "number", "day", "month"),
    [
        ("en", "1,234,567", "31 October 2026", "October 2026"),
        ("ja", "1,234,567", "2026年10月31日", "2026年10月"),
        ("nl", "1.234.567", "31 oktober 2026", "oktober 2026"),
    ],
)
def test_numbers_and_days_of_a_language(language: Language, number: str, day: str, month: str) -> None:
    w = words(language)
    assert (w.number(1234567), w.day(date(2026, 10, 31)), w.month(date(2026, 10, 1))) == (number, day, month)
    assert (w.number(-3), w.signed(3), w.signed(-3), w.quantity(0)) == ("−3", "+3", "−3", "–")


def test_a_moment_is_told_in_the_programmes_zone() -> None:
    assert words("en").moment("2026-11-04T23:30:00Z", "Asia/Tokyo") == "5 November 2026 08:30"


# Names, CSV and JSON.


def test_no_two_agreements_or_revisions_have_the_same_file_name() -> None:
    reports = [made(agreement=a, revision=r) for a in ("a/b", "a+b", "a:b", "a_b") for r in (1, 2)]
    names = {file_name(report, format) for report in reports for format in ("pdf", "xlsx", "csv", "json", "form")}
    assert len(names) == 40
    assert not any(c in name for name in names for c in "/:+ ")
    assert file_name(made(), "form") == "rollcall-east-2026-10-r1-form.xlsx"


def test_csv_has_each_line_and_no_text_that_calculates() -> None:
    report = made()
    rows = list(csv.DictReader(io.StringIO(render(report, "csv", "nl", APPROVED).decode())))
    assert tuple(rows[0]) == COLUMNS
    told = [(r["tenant"], r["sku"], *(int(r[q]) for q in QUANTITIES)) for r in rows]
    assert told == [(x.tenant, x.sku, *(getattr(x, q) for q in QUANTITIES)) for x in report.lines]
    assert rows[2]["tenant_name"] == f"'{EVIL}"
    assert rows[0]["tenant_name"] == RARE
    assert rows[3]["adjusted"] == "-12"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "＝", "＋", "－", "＠"])
def test_csv_guards_every_beginning_of_a_formula(start: str) -> None:
    content = render(made([line("a", "S1", 1, f"{start}1")]), "csv", "en", DRAFT)
    assert next(csv.DictReader(io.StringIO(content.decode())))["tenant_name"] == f"'{start}1"


def test_csv_of_nothing_says_so() -> None:
    [row] = csv.DictReader(io.StringIO(render(made([]), "csv", "en", DRAFT).decode()))
    assert (row["agreement"], row["month"], row["tenant"], row["reported"]) == ("east", "2026-10", "", "0")


def test_json_holds_the_report_as_it_was_stored() -> None:
    report = made()
    stored = report.to_json().replace(b'"draft":1', b'"draft": 1')
    content = render(report, "json", "en", APPROVED, stored=stored)
    assert stored in content
    read = json.loads(content)
    assert Report.model_validate(read["report"]) == report
    assert Standing.model_validate(read["standing"]) == APPROVED


# The workbook.


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_workbook_has_every_line_and_total_and_texts_stay_texts(language: Language) -> None:
    report, w = made(), words(language)
    content = render(report, "xlsx", language, DRAFT)
    assert content == render(report, "xlsx", language, DRAFT)
    found = sheets(content)
    assert list(found) == [w(f"sheet.{name}") for name in ("report", "lines", "findings", "adjustments")]
    first, lines, findings, adjustments = found.values()
    for heads in (lines[0], findings[0], adjustments[0]):
        assert all(heads)
        assert len(set(heads)) == len(heads)
    told = [(r[0], r[1], r[2], *r[8:15]) for r in lines[1:-1]]
    assert told == [(x.tenant, x.tenant_name, x.sku, *(getattr(x, q) for q in QUANTITIES)) for x in report.lines]
    assert lines[-1][0] == w("label.total")
    assert list(lines[-1][8:15]) == [getattr(report.total, q) for q in QUANTITIES]
    totals = [[getattr(x, q) for q in QUANTITIES] for x in (*report.skus, report.total)]
    cells = [row[3:10] for row in first]
    assert all(row in cells for row in totals)
    assert [w.mark("draft")] in [[text for text in row if text] for row in first]
    assert hashlib.sha256(report.to_json()).hexdigest() in [row[1] for row in first]
    assert date(2026, 11, 10) in [row[1] for row in first]
    assert [row[2] for row in findings[1:]] == [f.text for f in report.findings]
    assert adjustments[1][2:5] == [-12, "credit", EVIL]


def test_the_workbook_says_draft_until_it_is_approved() -> None:
    first = sheets(render(made(), "xlsx", "en", APPROVED))["Report"]
    assert not any("DRAFT" in str(cell) for row in first for cell in row)
    assert any("bob" in str(cell) for row in first for cell in row)


# The printed page.


def test_the_page_tells_of_a_correction_line_by_line() -> None:
    correction = Correction(
        of_revision=1, reason="a late broker", differences=[Difference(tenant="a", sku="S1", before=1200, after=1245)]
    )
    report = made(revision=2, correction=correction)
    told = page(report, words("nl"), APPROVED, report.to_json())
    assert told["title"] == "Gebruiksrapportage, correctie"
    assert "a late broker" in told["correction"]["text"]
    assert told["correction"]["rows"] == [[RARE, "S1", "1.200", "1.245", "+45"]]


def test_the_page_says_zero_plainly_and_leaves_out_what_is_only_for_those_inside() -> None:
    zero = made([line("a", "S1", 0)], adjustments=[])
    assert "report of zero" in page(zero, words("en"), DRAFT, b"")["zero"]
    told = page(made(), words("en"), DRAFT, b"")
    assert told["zero"] == ""
    [finding] = told["findings"]["rows"]
    assert (finding["kind"], finding["waived"]) == ("Unusual change", "Accepted by alice: a new customer (known)")


@pytest.mark.parametrize(("state", "mark"), [
    ("open", "DRAFT"), ("draft", "DRAFT"), ("approved", ""), ("submitted", ""), ("acknowledged", ""),
    ("rejected", "REJECTED"), ("superseded", "SUPERSEDED"),
])  # fmt: skip
def test_what_is_not_in_force_is_marked(state: State, mark: str) -> None:
    assert page(made(), words("en"), Standing(state=state), b"")["mark"] == mark


def test_the_page_has_every_line_once_also_when_many_share_a_row() -> None:
    many = [line(f"t{t:02}", f"S{s}", t * 100 + s) for t in range(30) for s in range(37)]
    for lines in (many[:50], many, [*many, line("z", "L" * 60, 5)]):
        printed = page(made(lines), words("en"), DRAFT, b"")["lines"]["tenants"]
        told = [
            (tenant["id"], *(cell.split("\n")[at] for cell in (row[0], row[-1])))
            for tenant in printed for row in tenant["rows"] for at in range(len(row[0].split("\n")))
        ]  # fmt: skip
        assert told == [(x.tenant, x.sku, f"{x.reported:,}") for x in lines]
        assert all(len({cell.count("\n") for cell in row}) == 1 for tenant in printed for row in tenant["rows"])


def test_a_long_sku_keeps_a_row_to_itself() -> None:
    lines = [line(f"t{t:02}", f"S{s}", 1) for t in range(30) for s in range(37)]
    rows = page(made([*lines, line("z", "L" * 60, 5)]), words("en"), DRAFT, b"")["lines"]["tenants"]
    assert all("\n" not in cell for tenant in rows for row in tenant["rows"] for cell in row)


def test_the_pdf_is_the_same_each_time_and_tells_in_text_what_stands_in_it() -> None:
    report = made()
    content = render(report, "pdf", "ja", APPROVED)
    assert content == render(report, "pdf", "ja", APPROVED)
    assert content.startswith(b"%PDF")
    mapped = _mapped(content)
    assert {*RARE, *"利用実績報告書"} <= mapped
    assert b"/URI" not in content


def test_every_font_of_the_pdf_comes_from_a_package_and_is_embedded() -> None:
    content = render(made(), "pdf", "ja", APPROVED)
    fonts = set(re.findall(rb"/FontName\s*/[A-Z]{6}\+([\w-]+)", content))
    assert {b"NotoSansCJKjp-Regular", b"NotoSansCJKjp-Bold"} <= fonts
    assert fonts <= {b"NotoSansCJKjp-Regular", b"NotoSansCJKjp-Bold", b"DejaVuSansMono"}, "the last is Typst's own"
    assert len(re.findall(rb"/FontFile", content)) == len(fonts)


def test_the_layout_fetches_and_reads_nothing() -> None:
    layout = printing.TEMPLATE.read_text("utf-8")
    assert not re.search(r"@preview|#import|#include|https?://|\bread\(|\bimage\(|\bplugin\(", layout)


def test_japanese_shows_without_a_font_of_the_machine() -> None:
    # What no font has is drawn as one and the same box.
    pictures = []
    for text in (*RARE, "ĳ", "€", "\u0378"):
        made_of = '#set page(width: 20pt, height: 20pt, margin: 0pt)\n#set text(font: "Noto Sans CJK JP")\n' + text
        pictures.append(typst.compile(made_of.encode(), format="png", font_paths=printing._fonts()))
    assert all(one != other for one, other in pairwise([*pictures, pictures[0]]))
    assert len(set(map(bytes, pictures))) == len(pictures)  # type: ignore[arg-type]


def _mapped(content: bytes) -> set[str]:
    """The characters that the PDF's fonts map their glyphs to: what is found by copying and searching."""
    found: set[str] = set()
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            text = zlib.decompress(stream)
        except zlib.error:
            continue
        if b"begincmap" in text:
            for code in re.findall(rb"<[0-9a-fA-F]+>\s+<([0-9a-fA-F]+)>", text):
                found.update(bytes.fromhex(code.decode()).decode("utf-16-be"))
    return found
