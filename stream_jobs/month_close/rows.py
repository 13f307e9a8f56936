"""The stored rows that are counted: a month of the table in force, all of it or what stands before a close."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.generation import in_force


@dataclass(frozen=True)
class Rows:
    """`before` is a close's number: rows of events that came behind its control records are not among these."""

    month: date
    table: str
    generation: int
    before: int | None = None

    @property
    def source(self) -> str:
        """`FROM … WHERE …` of SQL, with `parameters`."""
        cut = " AND recorded_in < %(number)s" if self.before is not None else ""
        return f"FROM {self.table} WHERE month = %(month)s{cut}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"month": self.month, "number": self.before}


def rows_of(client: Client, month: date, before: int | None = None) -> Rows:
    """Of the table that is in force now (infra/generation.py)."""
    generation = in_force(client)
    return Rows(month, generation.table, generation.number, before)
