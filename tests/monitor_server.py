"""A Citrix Monitor service on loopback, for tests: tokens that expire, one query at a time, pages that link on.

It speaks what the service speaks: `$filter=ModifiedDate ge … and StartDate lt …`, `$orderby`, `$expand`,
`@odata.nextLink` with `$skip`, 429 with `Retry-After` to a second query at the same time, 401 to a token that is too
old, time-outs.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

EXPAND = "User,Machine($expand=DesktopGroup),Connections($expand=ConnectionFailureLog)"


def session(number: int, modified: datetime, user: str, **change: Any) -> dict[str, Any]:
    text = modified.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "SessionKey": f"00000000-0000-4000-8000-{number:012}", "StartDate": text, "FailureId": None,
        "IsAnonymous": False, "ModifiedDate": text, "User": {"Upn": user}, "Connections": [],
        "Machine": {"DesktopGroup": {"Name": "Finance Desktop"}},
    } | change  # fmt: skip


@dataclass
class MonitorServer:
    """`faults` are taken from the front, one a query: a status, "hang", "cut" or "drop"; None answers as it should."""

    sessions: list[dict[str, Any]] = field(default_factory=list)
    faults: list[int | str | None] = field(default_factory=list)
    page: int = 100
    token_queries: int = 1_000_000
    """How many queries a token is good for."""
    retry_after: str = "0"
    hang_seconds: float = 1.0
    widest: timedelta | None = None
    """A query for more of ModifiedDate than that takes too long, and is answered with 504."""
    before_page: Callable[[int], None] = lambda number: None
    """Called with the query's number, before the answer is made: where sessions change meanwhile."""
    queries: list[str] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    overlapping: int = 0
    refused: int = 0

    def __enter__(self) -> MonitorServer:
        self._one = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._answer(self)

            def do_POST(self) -> None:
                outer._token(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a reader that was killed
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.base, self.trust = f"{self.address}/monitorodata", f"{self.address}/cctrustoauth2"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _token(self, request: BaseHTTPRequestHandler) -> None:
        form = parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        right = {"grant_type": ["client_credentials"], "client_id": ["client"], "client_secret": ["s3cret"]}
        if request.path != "/cctrustoauth2/acme/tokens/clients" or form != right:
            return _send(request, 401, {"error": "invalid_client"})
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = 0
        _send(request, 200, {"token_type": "bearer", "access_token": token, "expires_in": "3600"})

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        if not self._one.acquire(blocking=False):
            self.overlapping += 1
            return _send(request, 429, {}, {"Retry-After": "1"})
        try:
            say = self._query(request)
        finally:
            self._one.release()
        say()  # not before: who comes as soon as it is heard must not meet this query
        if request.close_connection:
            with suppress(OSError):
                request.connection.shutdown(socket.SHUT_RDWR)

    def _query(self, request: BaseHTTPRequestHandler) -> Callable[[], None]:
        """How it is answered."""
        self.queries.append(unquote(request.path))
        token = request.headers.get("Authorization", "").removeprefix("CWSAuth bearer=")
        if request.headers.get("Citrix-CustomerId") != "acme" or token not in self.tokens:
            self.refused += 1
            return partial(_send, request, 401, {})
        if self.tokens[token] >= self.token_queries:
            self.refused += 1
            return partial(_send, request, 401, {})
        self.tokens[token] += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault in ("drop", "hang"):
            time.sleep(self.hang_seconds if fault == "hang" else 0)
            request.close_connection = True
            return lambda: None
        if isinstance(fault, int):
            return partial(_send, request, fault, {"error": {"message": "told to"}}, {"Retry-After": self.retry_after})
        if self.widest is not None and self._asks_for(request.path) > self.widest:
            return partial(_send, request, 504, {"error": {"message": "it took too long"}})
        self.before_page(len(self.queries))
        return partial(_send, request, 200, self._page(request.path), cut=fault == "cut")

    def _asks_for(self, path: str) -> timedelta:
        since, end, _ = _bounds(parse_qs(urlsplit(path).query)["$filter"][0])
        return min(end, datetime.now(UTC)) - since

    def _page(self, path: str) -> dict[str, Any]:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert parts.path == "/monitorodata/Sessions"
        assert (query["$orderby"], query["$expand"]) == ("ModifiedDate asc", EXPAND)
        since, end, until = _bounds(query["$filter"])
        found = sorted((
            one for one in self.sessions
            if since <= datetime.fromisoformat(one["ModifiedDate"]) < end
            and datetime.fromisoformat(one["StartDate"]) < until
        ), key=lambda one: one["ModifiedDate"])  # fmt: skip
        skip = int(query.get("$skip", 0))
        upto = skip + self.page
        answer: dict[str, Any] = {"@odata.context": f"{self.base}/$metadata#Sessions", "value": found[skip:upto]}
        if len(found) > upto:
            rest = "&".join(part for part in parts.query.split("&") if not unquote(part).startswith("$skip"))
            answer["@odata.nextLink"] = f"https://elsewhere.example/monitorodata/Sessions?{rest}&$skip={upto}"
        return answer


def _bounds(text: str) -> tuple[datetime, datetime, datetime]:
    """ModifiedDate from, ModifiedDate before, StartDate before."""
    match = re.fullmatch(
        r"ModifiedDate ge (\S+?)(?: and ModifiedDate lt (\S+?))?(?: and StartDate lt (\S+))?", text
    )  # fmt: skip
    assert match
    since, end, until = (datetime.fromisoformat(bound or "9999-01-01T00:00:00Z") for bound in match.groups())
    return since, end, until


def some_sessions(number: int, begin: datetime, *, step: timedelta, users: int) -> list[dict[str, Any]]:
    return [session(n, begin + n * step, f"user-{n % users}@customer-a.example") for n in range(number)]


def _send(
    request: BaseHTTPRequestHandler, status: int, value: Any, headers: dict[str, str] | None = None, *,
    cut: bool = False,
) -> None:
    body = json.dumps(value).encode()
    request.send_response(status)
    for name, text in (headers or {}).items():
        request.send_header(name, text)
    request.send_header("Content-Type", "application/json;odata.metadata=minimal")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: len(body) // 2] if cut else body)
    request.close_connection = request.close_connection or cut
