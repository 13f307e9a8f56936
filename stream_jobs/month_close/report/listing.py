"""Every report with its state, as the documented view has it."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from schemas.calendar import month_name


class Listed(NamedTuple):
    """A revision, or a sealed month that has no draft yet (state open, revision 0)."""

    month: str
    agreement: str
    revision: int
    draft: int
    state: str
    due: str
    reported: int
    findings: int
    blocking: int
    prepared_by: str
    approved_by: str


def list_reports(client: Client, month: date | None = None) -> list[Listed]:
    """Of one month (its first day) or of all, in order of month, agreement and revision. Raises the driver's errors."""
    found = client.query(
        "SELECT month, agreement, revision, draft, state, toString(due), reported, findings, blocking, prepared_by,"
        " approved_by FROM report_states"
        " UNION ALL SELECT DISTINCT month, agreement, 0, 0, 'open', '', 0, 0, 0, '', '' FROM seals"
        " WHERE (agreement, month) NOT IN (SELECT agreement, month FROM report_ledger WHERE action = 'drafted')"
    ).result_rows
    return [Listed(month_name(first), *row) for first, *row in sorted(found) if month in (None, first)]
