"""How the command speaks: results on standard output as a table, JSON or CSV; everything else on standard error."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

Format = Literal["table", "json", "csv"]

notes = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def tell(sentence: str) -> None:
    """A line about what is going on, for the person who watches."""
    notes.print(sentence, markup=False)


def show(format: Format, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Rows on standard output. CSV lines end with a line feed; JSON is an array of objects."""
    if format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_text(value) for value in row] for row in rows)
    elif format == "json":
        objects = [dict(zip(columns, map(_json, row), strict=True)) for row in rows]
        print(json.dumps(objects, ensure_ascii=False, indent=1, default=str))
    else:
        table = Table(title=title, title_justify="left", header_style="bold")
        found = list(rows)
        for index, column in enumerate(columns):
            numeric = bool(found) and all(isinstance(row[index], int | float) for row in found)
            copied = column in ("origin", "subject", "digest", "sha256")
            table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=copied)
        for row in found:
            table.add_row(*(Text(_cell(value)) for value in row))  # as text, for `:b:` and `[a]` are no markup here
        Console(highlight=False, width=None if sys.stdout.isatty() else 500).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value
