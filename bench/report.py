"""What a run found, as sections: a table each, on the terminal, in Markdown and in JSON, some with a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.markup import escape
from rich.table import Table

from bench.picture import Chart


@dataclass
class Section:
    """One part of a run. `figures` is what the JSON keeps; cells of `rows` are as they are shown."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: Any = None
    charts: list[Chart] = field(default_factory=list)
    failed: bool = False
    """Rollcall itself failed or counted wrongly here."""


def table(section: Section) -> Table:
    shown = Table(title=section.title, title_justify="left")
    for column in section.columns:
        shown.add_column(column, overflow="fold")
    for row in section.rows:
        shown.add_row(*map(escape, row))
    return shown


def markdown(head: Mapping[str, str], sections: Sequence[Section], picture: str | None) -> str:
    """The whole run as a page; `picture` is the file beside it."""
    lines = ["# Figures of one run of the bench", "", "Written by `python -m bench`; do not edit.", ""]
    lines += [f"- **{name}**: {value}" for name, value in head.items()]
    if picture:
        lines += ["", f"![Events a second by contender]({picture})"]
    for section in sections:
        lines += ["", f"## {section.title}"]
        if section.rows:
            lines += ["", _row(section.columns), _row(["---"] * len(section.columns)), *map(_row, section.rows)]
        for note in section.notes:
            lines += ["", note]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
