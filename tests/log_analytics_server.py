"""A Log Analytics workspace on loopback, for tests: the query API over `WVDConnections`, and the tokens for it.

It speaks what the service speaks: `POST /v1/workspaces/ID/query` with KQL, tables of columns and rows, 429 with
`Retry-After`, 200 with an `error` beside rows that are not all (a partial result), 401 to a token that is too old.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

WORKSPACE = "00000000-0000-4000-8000-00000000aaaa"
POOL = (
    "/subscriptions/9a8b7c6d-0000-4000-8000-0000000000aa/resourcegroups/rg-avd-jp/providers/"
    "microsoft.desktopvirtualization/hostpools/hp-finance"
)
NAMES = [
    ("Stored", "datetime"), ("TimeGenerated", "datetime"), ("State", "string"), ("UserName", "string"),
    ("CorrelationId", "string"), ("_ResourceId", "string"), ("Type", "string"), ("PredecessorConnectionId", "string"),
]  # fmt: skip
_QUERY = re.compile(
    r"WVDConnections \| where TimeGenerated >= datetime\((?P<from>[^)]+)\)"
    r"(?: and TimeGenerated < datetime\((?P<to>[^)]+)\))? \| where State == 'Connected' "
    r"\| extend Stored = ingestion_time\(\) \| where Stored >= datetime\((?P<stored>[^)]+)\) "
    r"\| top (?P<top>\d+) by Stored asc "
    r"\| project Stored, TimeGenerated, State, UserName, CorrelationId, _ResourceId, Type, "
    r"PredecessorConnectionId = column_ifexists\('PredecessorConnectionId', ''\)"
)


def connection(number: int, at: datetime, user: str, *, late: timedelta = timedelta(minutes=3), **change: Any) -> Any:
    return {
        "Stored": _text(at + late), "TimeGenerated": _text(at), "State": "Connected", "UserName": user,
        "CorrelationId": f"00000000-0000-4000-8000-{number:012}", "_ResourceId": POOL, "Type": "WVDConnections",
        "PredecessorConnectionId": "",
    } | change  # fmt: skip


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "9Z")  # as the service: 100 nanoseconds


@dataclass
class LogAnalyticsServer:
    """`faults` are taken from the front, one a query: a status, "partial", "cut" or "drop"; None answers properly."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: list[int | str | None] = field(default_factory=list)
    token_queries: int = 1_000_000
    partial_above: int = 1_000_000
    """Rows of an answer from which on it is partial."""
    retry_after: str = "0"
    queries: list[str] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> LogAnalyticsServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/directory/oauth2/v2.0/token":
                    outer._token(self, body)
                else:
                    outer._query(self, body)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a reader that was killed
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.trust = f"http://127.0.0.1:{self._server.server_port}"
        self.base = f"{self.trust}/v1/workspaces/{WORKSPACE}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _token(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        right = {
            "grant_type": ["client_credentials"], "client_id": ["client"], "client_secret": ["s3cret"],
            "scope": [f"{self.trust}/.default"],
        }  # fmt: skip
        if parse_qs(body.decode()) != right:
            return _send(request, 401, {"error": "invalid_client"})
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = 0
        _send(request, 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    def _query(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        query = json.loads(body)["query"]
        self.queries.append(query)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, self.token_queries) >= self.token_queries:
            return _send(request, 401, {"error": {"code": "TokenExpired", "message": "the token is too old"}})
        self.tokens[token] += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault == "drop":
            request.close_connection = True
            return request.connection.shutdown(socket.SHUT_RDWR)
        if isinstance(fault, int):
            error = {"error": {"code": "Throttled", "message": "told to"}}
            return _send(request, fault, error, {"Retry-After": self.retry_after})
        match = _QUERY.fullmatch(query)
        if match is None or request.path != f"/v1/workspaces/{WORKSPACE}/query":
            return _send(request, 400, {"error": {"code": "BadArgumentError", "message": f"cannot be read: {query}"}})
        found = self._found(match)
        partial = fault == "partial" or len(found) > self.partial_above
        answer: dict[str, Any] = {"tables": [{
            "name": "PrimaryResult", "columns": [{"name": name, "type": kind} for name, kind in NAMES],
            "rows": [[row[name] for name, _ in NAMES] for row in (found[: len(found) // 2] if partial else found)],
        }]}  # fmt: skip
        if partial:
            answer["error"] = {"code": "PartialError", "message": "There were some errors when processing your query."}
        _send(request, 200, answer, cut=fault == "cut")

    def _found(self, match: re.Match[str]) -> list[dict[str, Any]]:
        given = {name: text for name, text in match.groupdict().items() if name != "top" and text}
        bounds = {name: datetime.fromisoformat(text) for name, text in given.items()}
        found = [
            row for row in self.rows
            if row["State"] == "Connected" and bounds["from"] <= _moment(row["TimeGenerated"])
            and ("to" not in bounds or _moment(row["TimeGenerated"]) < bounds["to"])
            and bounds["stored"] <= _moment(row["Stored"])
        ]  # fmt: skip
        return sorted(found, key=lambda row: row["Stored"])[: int(match["top"])]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("9Z", "+00:00"))


def _send(
    request: BaseHTTPRequestHandler, status: int, value: Any, headers: dict[str, str] | None = None, *,
    cut: bool = False,
) -> None:
    body = json.dumps(value).encode()
    request.send_response(status)
    for name, text in (headers or {}).items():
        request.send_header(name, text)
    request.send_header("Content-Type", "application/json; charset=utf-8")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: len(body) // 2] if cut else body)
    if cut:
        request.close_connection = True
        request.connection.shutdown(socket.SHUT_RDWR)
