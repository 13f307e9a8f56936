"""The stored rows that are counted: a month of the table in force, all of it or what stands before a close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.generation import in_force
from stream_jobs.month_close.aliases.resolve import current

_MEMBERS = "SELECT tenant, subject, representative FROM alias_members WHERE (tenant, version) IN %(aliases)s"
_STANDING = "if(m.representative = toFixedString('', 16), {one}.subject, m.representative)"
_MERGED = (
    "(SELECT r.month AS month, r.tenant AS tenant, r.sku AS sku, " + _STANDING.format(one="r") + " AS subject,"
    " r.subject AS identity, r.first_event AS first_event, r.active_days AS active_days,"
    " r.recorded_in AS recorded_in FROM {table} AS r LEFT ANY JOIN (" + _MEMBERS + ") AS m"
    " ON r.tenant = m.tenant AND r.subject = m.subject WHERE r.month = %(month)s)"
)


@dataclass(frozen=True)
class Rows:
    """`before` is a close's number: rows of events that came behind its control records are not among these.

    A subject that `aliases` (by tenant, a version) link to others appears as their representative; a row's own
    subject is then its `identity`.
    """

    month: date
    table: str
    generation: int
    before: int | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """`FROM … WHERE …` of SQL, with `parameters`."""
        table = _MERGED.replace("{table}", self.table) if self.aliases else self.table
        return self._where(table)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"month": self.month, "number": self.before, "aliases": list(self.aliases.items())}

    @property
    def identities(self) -> str:
        """`FROM … WHERE …` of the rows as they are stored."""
        return self._where(self.table)

    def standing(self, subjects: str, more: str = "") -> str:
        """A query of tenants and subjects (and `more` columns) with each subject's representative in its place."""
        if not self.aliases:
            return subjects
        return (
            f"SELECT n.tenant AS tenant, {_STANDING.format(one='n')} AS subject{more} FROM ({subjects}) AS n"
            f" LEFT ANY JOIN ({_MEMBERS}) AS m ON n.tenant = m.tenant AND n.subject = m.subject"
        )

    def unlinked(self) -> Rows:
        """The same, with every identity by itself: for tenants without aliases, of whom nothing is to be looked up."""
        return replace(self, aliases={})

    def _where(self, table: str) -> str:
        cut = " AND recorded_in < %(number)s" if self.before is not None else ""
        return f"FROM {table} WHERE month = %(month)s{cut}"


def rows_of(
    client: Client, month: date, before: int | None = None, aliases: Mapping[str, str] | None = None
) -> Rows:
    """Of the table that is in force now (infra/generation.py); by the aliases that were resolved last, or by these."""
    generation = in_force(client)
    held = current(client, month) if aliases is None else aliases
    return Rows(month, generation.table, generation.number, before, held)
