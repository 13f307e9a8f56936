"""A distributor's own form, filled. Pure: the same form and report give the same bytes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell

from infra.errors import ConfigurationError
from schemas.agreement import Language
from schemas.report import Report, Standing
from stream_jobs.month_close.forms.template import PLACEHOLDER, Placeholder, Problem, Template, read_template
from stream_jobs.month_close.forms.template_formula import Rows
from stream_jobs.month_close.forms.template_names import (
    GROUPS,
    Context,
    Value,
    family_of,
    group_of,
    item_value,
    sku_of,
    value,
)
from stream_jobs.month_close.forms.template_sheet import grow
from stream_jobs.month_close.forms.words import Words
from stream_jobs.month_close.forms.workbook import DAY_FORMATS

_SHOWN = 10
_LONGEST = 32_767
"""Characters of a cell; the format allows no more."""


def fill(form: bytes, report: Report, language: Language, standing: Standing) -> bytes:
    """The XLSX file. Raises ConfigurationError with everything that cannot be filled or kept, or that has no place."""
    template = read_template(form)
    problems = [*map(str, template.problems), *_without_place(template.placeholders, report)]
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise ConfigurationError("\n".join(["the form cannot be filled:", *problems[:_SHOWN], *more]))
    c = Context.of(report, language, standing)
    items = {group: GROUPS[group].items(report) for group in GROUPS}
    moves = template.moves(lambda group: len(items[group]))
    late: list[Problem] = []
    grow(template.book, moves, lambda sheet, cell, text: late.append(Problem(sheet, cell, text)))
    if late:
        raise ConfigurationError(f"the form cannot be filled: {late[0]}")
    for sheet, row, column in {(p.sheet, p.row, p.cell): None for p in template.placeholders}:
        letters = column.rstrip("0123456789")
        first = moves.get(sheet.lower(), Rows()).start(row)
        group = template.repeated.get((sheet, row))
        held: Sequence[Any] = (items[group] or [None]) if group else [None]
        for index, item in enumerate(held):
            cell = template.book[sheet][f"{letters}{first + index}"]
            _put(cell, lambda name, item=item, i=index: _value(name, c, item, i + 1), c.w)
    return _bytes(template, report, standing)


def _without_place(placeholders: Sequence[Placeholder], report: Report) -> Iterator[str]:
    """A form that lists SKUs or families one by one must have each that is reported, or it would report too little."""
    names = [p.name for p in placeholders]
    groups = {group_of(name) for name in names}
    skus = {sku for name in names if (sku := sku_of(name)) is not None}
    families = {family for name in names if (family := family_of(name)) is not None}
    if groups & {"skus", "lines", "families"}:
        return
    if skus:
        for s in report.skus:
            if s.reported and s.sku not in skus:
                wanted = f"sku.{s.sku}.reported"
                yield f"it has no place for {s.sku}, of which {s.reported} are reported: add {{{{{wanted}}}}}"
    elif families:
        for f in report.families:
            if f.reported and (f.family, f.deployment) not in families:
                wanted = f"family.{f.family}.{f.deployment}.reported"
                yield f"it has no place for {f.family}, of which {f.reported} are reported: add {{{{{wanted}}}}}"


def _value(name: str, c: Context, item: Any, number: int) -> Value:
    return item_value(name, c, item, number) if group_of(name) else value(name, c)


def _put(cell: Cell, asked: Any, w: Words) -> None:
    """Fills a cell. A placeholder by itself keeps its type; a text is a text, also where it begins with `=`."""
    text = str(cell.value)
    if alone := PLACEHOLDER.fullmatch(text.strip()):
        filled = asked(alone[1])
        if filled is None or filled == "":
            cell.value = None
            return
        if not isinstance(filled, str):
            plain = cell.number_format == "General"
            cell.value = filled
            if isinstance(filled, date) and plain:
                cell.number_format = DAY_FORMATS[w.language]
            return
        text = filled
    else:
        text = PLACEHOLDER.sub(lambda found: _said(asked(found[1]), w), text)
    cell.value = ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", text)[:_LONGEST]
    cell.data_type = "s"
    if text.startswith("="):
        cell.quotePrefix = True


def _said(filled: Value, w: Words) -> str:
    if isinstance(filled, date):
        return w.day(filled)
    return w.number(filled) if isinstance(filled, int) else filled or ""


def _bytes(template: Template, report: Report, standing: Standing) -> bytes:
    """Without the clock: the library stamps the hour of writing into the properties and the zip."""
    book = template.book
    book.template = False
    if book.calculation is not None:
        book.calculation.fullCalcOnLoad = True
    target, made = io.BytesIO(), io.BytesIO()
    book.save(target)
    at = standing.approved_at or standing.prepared_at or f"{report.month:%Y-%m-%d}"
    stamp = datetime.fromisoformat(at).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(target) as pack, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name in pack.namelist():
            content = pack.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + stamp, content)
            out.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
