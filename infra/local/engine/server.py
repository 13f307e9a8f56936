"""The ASGI application: routes, accounts, bodies in and answers out."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from infra.local.engine import bodies
from infra.local.engine.accounts import Account, authenticate
from infra.local.engine.errors import UNKNOWN_EXCEPTION, QueryError
from infra.local.engine.execute import Answer, Executor
from infra.local.engine.request import Request, parse
from infra.local.engine.spool import Spool

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_T = TypeVar("_T")

_TEXT = {"Content-Type": "text/plain; charset=UTF-8"}
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "Origin, X-Requested-With, Content-Type, Accept, Authorization, "
    "X-ClickHouse-User, X-ClickHouse-Key, X-ClickHouse-Database, X-ClickHouse-Format",
    "Access-Control-Expose-Headers": "X-ClickHouse-Summary, X-ClickHouse-Query-Id, X-ClickHouse-Exception-Code, "
    "X-ClickHouse-Format, X-ClickHouse-Timezone",
    "Access-Control-Max-Age": "86400",
}
_NO_HANDLE = """There is no handle {path}

Use / or /ping for health checks.
Or /replicas_status for more sophisticated health checks.
Send queries from your program with POST method or GET /?query=...

Use clickhouse-client, clickhouse-connect, Grafana or any browser-based SQL tool with this address; the
engine brings no page of its own.
"""


class _Gone(Exception):
    """The client went away before its body was whole."""


@dataclass
class _Client:
    send: Send
    gone: asyncio.Future[Any]  # done when the client closed its connection
    mark: str  # of its query, to kill it by


class App:
    def __init__(self, executor: Executor, accounts: dict[str, Account], bodies: Path, threads: int) -> None:
        """`bodies` is the folder for large bodies; at most `threads` queries run, further ones wait."""
        self._executor = executor
        self._accounts = accounts
        self._bodies = bodies
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="query")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if path in ("/ping", "/replicas_status"):
            await _send(send, 200, {"Content-Type": "text/html; charset=UTF-8"}, b"Ok.\n")
        elif path != "/":
            await _send(send, 404, _TEXT, _NO_HANDLE.format(path=path).encode("utf-8", "replace"))
        elif method == "OPTIONS":
            await _send(send, 204, _CORS, b"")
        elif method not in ("GET", "HEAD", "POST"):
            await _send(send, 501, _TEXT, b"Queries come by GET or POST.\n")
        elif method != "POST" and not scope["query_string"]:
            await _send(send, 200, {"Content-Type": "text/html; charset=UTF-8"}, b"Ok.\n")
        else:
            await self._query(scope, receive, send)

    async def _query(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"X-ClickHouse-Server-Display-Name": "rollcall-local", "X-ClickHouse-Timezone": "UTC"}
        mark = uuid.uuid4().hex
        spool = Spool(self._bodies)
        try:
            request = parse(scope["method"], scope["query_string"], scope["headers"])
            headers["X-ClickHouse-Query-Id"] = request.query_id or str(uuid.UUID(mark))
            headers |= _CORS if request.cors else {}
            account = authenticate(self._accounts, request.user, request.password)
            await _read(receive, spool)
            gone = asyncio.ensure_future(_until_gone(receive))
            try:
                client = _Client(send, gone, mark)
                answer = await self._work(client, self._executor.run, request, account, spool, mark)
                await self._answer(client, request, headers, answer)
            finally:
                gone.cancel()
        except _Gone:
            return
        except QueryError as error:
            await _send_error(send, headers, error)
        except Exception as error:  # the process goes on; the client is told, the log has the reason
            _log(f"query {mark} failed", f"{type(error).__name__}: {error}")
            await _send_error(send, headers, QueryError(UNKNOWN_EXCEPTION, f"{type(error).__name__}: {error}"))
        finally:
            spool.close()

    async def _answer(self, client: _Client, request: Request, headers: dict[str, str], answer: Answer) -> None:
        headers = headers | answer.headers
        encoding = bodies.choose(request.accept) if request.accept is not None else None
        encoder = bodies.Encoder(encoding) if encoding else bodies.PLAIN
        if encoding:
            headers["Content-Encoding"] = encoding
        if answer.rest is None:
            data = await self._work(client, encoder.whole, answer.data) if encoding else answer.data
            await _send(client.send, 200, headers, data)
            return
        tag = secrets.token_hex(8)
        data = answer.data
        try:
            await _start(client.send, 200, headers | {"X-ClickHouse-Exception-Tag": tag})
            while data and not client.gone.done():
                await _more(client.send, await self._work(client, encoder.encode, data))
                data = await self._work(client, answer.rest.next)
            await client.send({"type": "http.response.body", "body": encoder.finish()})
        except QueryError as error:
            await _more(client.send, encoder.encode(_in_the_middle(error, tag)) + encoder.finish())
            raise _Gone from None  # leaving the answer open tells clients that know no tag
        finally:
            await self._in_thread(answer.rest.close)

    async def _work(self, client: _Client, function: Callable[..., _T], *args: Any) -> _T:
        """Runs `function` in a thread; kills its query if it only reads and its client goes away meanwhile."""
        working = asyncio.ensure_future(self._in_thread(function, *args))
        await asyncio.wait([working, client.gone], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            # Not in the pool: what fills it may be the very query to kill.
            with contextlib.suppress(QueryError):
                await asyncio.to_thread(self._executor.engine.kill, client.mark)
        return await working

    async def _in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


async def _read(receive: Receive, spool: Spool) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        spool.add(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _until_gone(receive: Receive) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass


def _in_the_middle(error: QueryError, tag: str) -> bytes:
    """ClickHouse's block for an error behind a 200: it closes the body."""
    text = f"{error}\n".encode("utf-8", "replace")
    mark = b"__exception__"
    return b"\r\n%s\r\n%s\r\n%s%d %s\r\n%s\r\n" % (mark, tag.encode(), text, len(text), tag.encode(), mark)


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [
        (name.lower().encode(), "".join(c if c.isprintable() else " " for c in value).encode("latin-1", "replace"))
        for name, value in headers.items()
    ]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _more(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _send(send: Send, status: int, headers: dict[str, str], data: bytes) -> None:
    await _start(send, status, headers | ({"Content-Length": str(len(data))} if status != 204 else {}))
    await send({"type": "http.response.body", "body": data})


async def _send_error(send: Send, headers: dict[str, str], error: QueryError) -> None:
    headers = headers | _TEXT | {"X-ClickHouse-Exception-Code": str(error.code)}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    await _send(send, error.status, headers, f"{error}\n".encode("utf-8", "replace"))


def _log(what: str, why: str) -> None:
    print(f"engine: {what}: {' '.join(why.split())}", file=sys.stderr, flush=True)
