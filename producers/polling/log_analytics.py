"""Reads `WVDConnections` from a Log Analytics workspace (query API), in the order in which Azure stored its rows.

A row becomes visible minutes after its TimeGenerated, at times hours; so the mark is the row's `ingestion_time()`,
which no later row undercuts by more than the overlap. There are no pages: the next portion is asked for from the last
one's mark on. An answer of 200 may hold an `error` beside its rows (a partial result): its rows are not taken, and a
smaller portion is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import urllib3

from infra.errors import CheckFailed
from producers.adapters.adapter import to_json
from producers.polling.caller import Caller
from producers.polling.portion import Portion
from producers.polling.token import Token
from schemas.event import parse_time, read_json
from schemas.quarantine import Refusal

API = "https://api.loganalytics.azure.com"
TRUST = "https://login.microsoftonline.com"
PORTION = 10_000
"""Rows; the service gives 500,000 and 64 MB at most."""
SMALLEST = 100
_LATEST = timedelta(days=3)
"""Azure gives a row that comes more than two days late the time of its coming."""
_COLUMNS = (
    "TimeGenerated, State, UserName, CorrelationId, _ResourceId, Type, "
    "PredecessorConnectionId = column_ifexists('PredecessorConnectionId', '')"
)
# Finer than microseconds is cut, not rounded: the next portion must not begin behind a neighbour.
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*Z?")


class EntraLogin:
    """An application registered in Microsoft Entra ID. `directory` is its tenant's id; `api` the scope's host."""

    def __init__(
        self, directory: str, client: str, secret: str, http: urllib3.PoolManager, trust: str = TRUST, api: str = API
    ) -> None:
        form = {
            "grant_type": "client_credentials", "client_id": client, "client_secret": secret,
            "scope": f"{api.rstrip('/')}/.default",
        }  # fmt: skip
        url = f"{trust.rstrip('/')}/{directory}/oauth2/v2.0/token"
        self._token = Token(url, form, http, "the directory's id, the client's id or its secret")

    def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token.text(renew=renew)}"}


class Workspace(Caller):
    """`base` is the workspace's URL: `https://api.loganalytics.azure.com/v1/workspaces/ID`."""

    __slots__ = ()

    def rows(self, query: str) -> list[dict[str, Any]] | None:
        """The rows of a query in KQL; None when the result is partial. Raises as Caller does."""
        return self.ask(
            "POST", f"{self.base.rstrip('/')}/query", _table, to_json({"query": query}),
            {"Content-Type": "application/json", "Prefer": f"wait={self.seconds:.0f}"},
        )  # fmt: skip


def connections(
    workspace: Workspace, since: datetime, until: datetime | None = None, *, portion: int = PORTION
) -> Iterator[Portion]:
    """The rows stored at or after `since`, up to now; with `until`, those of connections before it, too.

    Raises CheckFailed when the service gives partial results only, and as Caller does.
    """
    begin, size, partial = since, portion, 0
    while True:
        found = workspace.rows(_query(begin, until, size))
        if found is None:
            partial += 1
            if partial >= workspace.tries:
                raise CheckFailed(
                    f"{workspace.base} gives partial results, even of {size} rows: nothing of them was taken; see the "
                    f"workspace's health, and start again later"
                )
            workspace.sleep(min(2.0**partial, 60.0))
            size = max(size // 4, SMALLEST)
            continue
        partial = 0
        mark = max((_moment(row) for row in found), default=begin)
        if found:
            yield Portion(found, max(mark, begin))
        if len(found) < size:
            return
        if mark > begin:
            begin, size = mark, min(size, portion)
        else:  # a whole portion of one moment
            size *= 2


def _query(begin: datetime, until: datetime | None, size: int) -> str:
    before = f" and TimeGenerated < {_literal(until)}" if until else ""
    return (
        f"WVDConnections | where TimeGenerated >= {_literal(begin - _LATEST)}{before} | where State == 'Connected' "
        f"| extend Stored = ingestion_time() | where Stored >= {_literal(begin)} | top {size} by Stored asc "
        f"| project Stored, {_COLUMNS}"
    )


def _literal(moment: datetime) -> str:
    return f"datetime({moment.astimezone(UTC).isoformat(timespec='microseconds').replace('+00:00', 'Z')})"


def _moment(row: dict[str, Any]) -> datetime:
    match = _MOMENT.fullmatch(str(row.get("Stored")))
    try:
        if match is not None:
            return parse_time(f"{match[1]}Z")
    except ValueError:
        pass
    raise CheckFailed(f"the connection {row.get('CorrelationId')} has no ingestion time that can be read")


def _table(body: bytes) -> list[dict[str, Any]] | None:
    """Raises Refusal for what is no answer of the query API."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise Refusal("not_an_event", "no answer of the query API")
    if value.get("error"):
        return None
    try:
        table = next(table for table in value["tables"] if table["name"] == "PrimaryResult")
        names = [column["name"] for column in table["columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["rows"]]
    except (StopIteration, KeyError, TypeError, ValueError):
        raise Refusal("not_an_event", "no table PrimaryResult whose rows fit its columns") from None
