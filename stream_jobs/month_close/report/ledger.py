"""The ledger of an agreement's month in ClickHouse: append-only, and every place belongs to one writer.

Of two that append at the same place the first insert wins: ClickHouse drops the other one, whose deduplication token
is the same, and both read back whose it is. So an act that was checked against the entries before its place is
appended to exactly those. These functions raise the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from infra.errors import CheckFailed
from schemas.calendar import month_name
from schemas.ledger import ACT, Act, Entry
from stream_jobs.month_close.report.life import Life, read_life
from stream_jobs.month_close.report.words import said

_COLUMNS = ["agreement", "month", "place", "at", "actor", "action", "act", "owner"]


class Ledger:
    """One agreement's month (its first day)."""

    def __init__(self, client: Client, agreement: str, month: date) -> None:
        self._client, self.agreement, self.month = client, agreement, month

    def entries(self) -> list[Entry]:
        """All of them, in order; empty when nothing was done yet."""
        return _entries(self._client, self.agreement, self.month).get((self.agreement, self.month), [])

    def life(self) -> Life:
        return read_life(self.agreement, self.month, self.entries())

    def append(self, act: Act, *, actor: str, at: datetime, place: int) -> Entry:
        """Writes the act at this place. Raises CheckFailed when somebody else was there first: nothing was written."""
        entry = Entry(place=place, at=at.astimezone(UTC), actor=actor, act=act)
        owner = uuid4()
        # What was stored long ago is not left to the token: a replicated table forgets tokens after a while.
        if not self._owners(place):
            self._client.insert(
                "report_ledger",
                [[
                    self.agreement, self.month, place, entry.at, actor, act.action, ACT.dump_json(act).decode(), owner,
                ]],
                column_names=_COLUMNS,
                settings={"insert_deduplication_token": f"ledger-{self.agreement}-{month_name(self.month)}-{place}"},
            )  # fmt: skip
        if self._owners(place) != [owner]:
            raise CheckFailed(self._overtaken(place))
        return entry

    def _owners(self, place: int) -> list[UUID]:
        found = self._client.query(
            "SELECT owner FROM report_ledger"
            " WHERE agreement = %(agreement)s AND month = %(month)s AND place = %(place)s",
            parameters={"agreement": self.agreement, "month": self.month, "place": place},
        )
        return [row[0] for row in found.result_rows]

    def _overtaken(self, place: int) -> str:
        other = next((entry for entry in self.entries() if entry.place == place), None)
        did = f"{other.actor} {said(other.act)}" if other else "somebody else wrote"
        return (
            f"somebody else was at {self.agreement} {month_name(self.month)} at the same time: {did}. Nothing of yours "
            "was written: look at the report as it is now, then do it again if it still holds"
        )


def read_lives(
    client: Client, *, agreement: str | None = None, month: date | None = None
) -> dict[tuple[str, date], Life]:
    """The lives of all reports, or of an agreement's, or of a month's, by agreement and month, in this order."""
    return {
        (id, first): read_life(id, first, entries)
        for (id, first), entries in _entries(client, agreement, month).items()
    }


def _entries(
    client: Client, agreement: str | None, month: date | None
) -> Mapping[tuple[str, date], list[Entry]]:
    wanted: dict[str, Any] = {"agreement": agreement, "month": month}
    conditions = [f"{name} = %({name})s" for name, value in wanted.items() if value is not None]
    found = client.query(
        "SELECT agreement, month, place, at, actor, act FROM report_ledger"
        + (f" WHERE {' AND '.join(conditions)}" if conditions else "") + " ORDER BY agreement, month, place",
        parameters=wanted,
    )  # fmt: skip
    entries: dict[tuple[str, date], list[Entry]] = {}
    for id, first, place, at, actor, act in found.result_rows:
        entry = Entry(place=place, at=utc(at), actor=actor, act=ACT.validate_json(act))
        entries.setdefault((id, first), []).append(entry)
    return entries
