"""A distributor's own form: an XLSX workbook with placeholders such as {{total.reported}} in its cells.

A row that holds placeholders of a group, such as {{skus.code}}, is repeated for each of its items.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import openpyxl
from openpyxl.cell.cell import Cell
from openpyxl.cell.rich_text import CellRichText
from openpyxl.workbook import Workbook

from infra.errors import ConfigurationError
from stream_jobs.month_close.forms.template_formula import Moves, Rows
from stream_jobs.month_close.forms.template_names import group_of, unknown
from stream_jobs.month_close.forms.template_parts import lost
from stream_jobs.month_close.forms.template_sheet import grow

PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_STRAY = re.compile(r"\{\{|\}\}|｛｛|｝｝")


@dataclass(frozen=True)
class Placeholder:
    sheet: str
    cell: str
    row: int
    name: str


@dataclass(frozen=True)
class Problem:
    """Something that cannot be filled or kept; `cell` may be an area, a name, or empty for the whole sheet."""

    sheet: str
    cell: str
    text: str

    def __str__(self) -> str:
        place = "!".join(part for part in (self.sheet, self.cell) if part)
        return f"{place}: {self.text}" if place else self.text


@dataclass(frozen=True)
class Template:
    """Of one file, opened once to be filled once."""

    book: Workbook
    placeholders: tuple[Placeholder, ...]
    problems: tuple[Problem, ...]

    @property
    def repeated(self) -> dict[tuple[str, int], str]:
        """The group of each repeated row, by sheet and row of the template."""
        return {(p.sheet, p.row): group for p in self.placeholders if (group := group_of(p.name))}

    def moves(self, copies: Callable[[str], int]) -> Moves:
        """How the rows move when each group stands so often (at least once)."""
        sheets: dict[str, dict[int, int]] = {}
        for (sheet, row), group in self.repeated.items():
            sheets.setdefault(sheet.lower(), {})[row] = max(copies(group), 1)
        return {sheet: Rows(rows) for sheet, rows in sheets.items()}


def read_template(form: bytes) -> Template:
    """The form, with everything that is wrong with it. Raises ConfigurationError when it is no XLSX workbook."""
    problems = [
        Problem(sheet, cell, f"holds {what}, which would be lost: take it out") for sheet, cell, what in lost(form)
    ]  # fmt: skip
    problems += _dry_run(form, bool(problems))
    book, _ = _opened(form)
    found = tuple(_placeholders(book))
    return Template(book, found, tuple(dict.fromkeys([*problems, *_wrong(book, found)])))


def _dry_run(form: bytes, told: bool) -> list[Problem]:
    """What stands in the way of repeating its rows, found by repeating each once; and what the library says that it
    leaves out, unless that was told already."""
    book, said = _opened(form)
    problems = [Problem("", "", f"something would be lost: {text}") for text in said if not told]
    moves = Template(book, tuple(_placeholders(book)), ()).moves(lambda group: 1)
    grow(book, moves, lambda sheet, cell, text: problems.append(Problem(sheet, cell, text)))
    return problems


def _opened(form: bytes) -> tuple[Workbook, list[str]]:
    """The workbook, and what the library says of things that it leaves out."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            book = openpyxl.load_workbook(io.BytesIO(form), rich_text=True)
        except Exception as error:  # of many kinds, for a file that is damaged in many ways
            why = f"the form cannot be read ({error}): save it anew in a spreadsheet program"
            raise ConfigurationError(why) from error
    return book, [str(warning.message) for warning in said if issubclass(warning.category, UserWarning)]


def _texts(book: Workbook) -> Iterator[tuple[str, Cell, str]]:
    """Every cell with a text or formula, by sheet, row and column."""
    for sheet in book.worksheets:
        for _, cell in sorted(sheet._cells.items()):
            if isinstance(cell, Cell) and isinstance(cell.value, str | CellRichText):
                yield sheet.title, cell, str(cell.value)


def _placeholders(book: Workbook) -> Iterator[Placeholder]:
    for sheet, cell, text in _texts(book):
        if cell.data_type != "f":
            for found in PLACEHOLDER.finditer(text):
                yield Placeholder(sheet, cell.coordinate, cell.row, found[1])


def _wrong(book: Workbook, found: tuple[Placeholder, ...]) -> Iterator[Problem]:
    for p in found:
        if why := unknown(p.name):
            yield Problem(p.sheet, p.cell, f"{{{{{p.name}}}}} {why}")
    for sheet, cell, text in _texts(book):
        if cell.data_type == "f":
            if _STRAY.search(text):
                yield Problem(sheet, cell.coordinate, "a formula cannot hold a placeholder: give it a cell of its own")
        elif _STRAY.search(PLACEHOLDER.sub("", text)):
            yield Problem(sheet, cell.coordinate, "holds a placeholder that is not closed, or in full-width braces")
        elif isinstance(cell.value, CellRichText) and PLACEHOLDER.search(text):
            yield Problem(sheet, cell.coordinate, "a placeholder is in a text of several formats: give the cell one")
        if cell.comment is not None and _STRAY.search(cell.comment.text):
            yield Problem(sheet, cell.coordinate, "placeholders are filled in cells, not in notes")
    groups: dict[tuple[str, int], str] = {}
    for p in found:
        if (group := group_of(p.name)) and groups.setdefault((p.sheet, p.row), group) != group:
            yield Problem(p.sheet, p.cell, f"row {p.row} cannot be repeated for {groups[p.sheet, p.row]} and {group}")
    for worksheet in book.worksheets:
        parts = (getattr(worksheet, name) for name in ("oddHeader", "oddFooter", "evenHeader", "evenFooter"))
        texts = [getattr(part, side).text or "" for part in parts for side in ("left", "center", "right")]
        if any(map(_STRAY.search, [worksheet.title, *texts])):
            yield Problem(worksheet.title, "", "placeholders are filled in cells, not in a sheet's name or header")
    if not found:
        yield Problem("", "", "the form has no placeholder: write one such as {{total.reported}} into a cell")
