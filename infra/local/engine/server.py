"""The ASGI application: routes, authentication, bodies in and answers out."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.local.engine import bodies, execute
from infra.local.engine.accounts import Account, authenticate
from infra.local.engine.errors import UNKNOWN_EXCEPTION, QueryError
from infra.local.engine.pool import Engine
from infra.local.engine.request import Request, parse
from infra.local.engine.sessions import Sessions
from infra.local.engine.spool import Spool

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HELP = "There is no handle {path}\nUse / or /ping for health checks.\nOr /replicas_status for more sophisticated " \
    "health checks.\nSend queries from your program with POST method or GET /?query=...\n"  # fmt: skip


class Disconnected(Exception):
    """The client went away before its body was whole."""


class App:
    def __init__(self, engine: Engine, accounts: dict[str, Account], temporary: Path, threads: int = 16) -> None:
        self._engine = engine
        self._accounts = accounts
        self._temporary = temporary
        self._sessions = Sessions()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="query")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if path in ("/ping", "/replicas_status"):
            await _send(send, 200, {"Content-Type": "text/html; charset=UTF-8"}, b"Ok.\n")
        elif path != "/":
            await _send(send, 404, {"Content-Type": "text/plain; charset=UTF-8"}, _HELP.format(path=path).encode())
        elif method not in ("GET", "HEAD", "POST"):
            await _send(send, 501, {"Content-Type": "text/plain; charset=UTF-8"}, b"Send GET or POST\n")
        else:
            await self._query(scope, receive, send)

    async def _query(self, scope: Scope, receive: Receive, send: Send) -> None:
        query_id = str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Server-Display-Name": "rollcall-local",
            "X-ClickHouse-Timezone": "UTC",
        }
        spool = Spool(self._temporary)
        try:
            request = parse(scope["method"], scope["query_string"], scope["headers"])
            query_id = request.query_id or query_id
            headers["X-ClickHouse-Query-Id"] = query_id
            account = authenticate(self._accounts, request.user, request.password)
            if not request.query and not scope["query_string"] and scope["method"] != "POST":
                await _send(send, 200, headers, b"Ok.\n")
                return
            await _read(receive, spool)
            answer = await self._in_thread(
                execute.run, self._engine, self._sessions, request, account.user, account.readonly, spool, query_id
            )
            await self._answer(send, request, headers, answer)
        except Disconnected:
            return
        except QueryError as error:
            await _send_error(send, headers, error)
        except Exception as error:  # the process must go on; the client is told, the log has the reason
            print(f"engine: query {query_id} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            await _send_error(send, headers, QueryError(UNKNOWN_EXCEPTION, f"{type(error).__name__}: {error}"))
        finally:
            spool.close()

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _answer(self, send: Send, request: Request, headers: dict[str, str], answer: execute.Answer) -> None:
        headers = headers | answer.headers
        encoding = bodies.choose(request.accept)
        encoder = bodies.Encoder(encoding) if encoding else None
        if encoding:
            headers["Content-Encoding"] = encoding
        if answer.rest is None:
            data = encoder.encode(answer.data) + encoder.finish() if encoder else answer.data
            await _send(send, 200, headers, data)
            return
        await _start(send, 200, headers)
        data = answer.data
        try:
            while data:
                await _more(send, encoder.encode(data) if encoder else data)
                data = await self._in_thread(_next, answer.rest)
            await send({"type": "http.response.body", "body": encoder.finish() if encoder else b""})
        finally:
            await self._in_thread(answer.rest.close)  # type: ignore[attr-defined]


def _next(blocks: Iterator[bytes]) -> bytes:
    return next(blocks, b"")


async def _read(receive: Receive, spool: Spool) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        spool.add(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _more(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _send(send: Send, status: int, headers: dict[str, str], data: bytes) -> None:
    await _start(send, status, headers | {"Content-Length": str(len(data))})
    await send({"type": "http.response.body", "body": data})


async def _send_error(send: Send, headers: dict[str, str], error: QueryError) -> None:
    headers = headers | {
        "Content-Type": "text/plain; charset=UTF-8",
        "X-ClickHouse-Exception-Code": str(error.code),
    }
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    await _send(send, error.status, headers, f"{error}\n".encode("utf-8", "replace"))
