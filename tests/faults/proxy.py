"""An HTTP proxy between Rollcall and ClickHouse that goes wrong on command."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote_plus

from infra.local.ports import LOOPBACK

Way = Literal["hang", "answer", "slow", "applied-then-silent", "applied-then-cut", "half"]
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Fault:
    """How requests go wrong: the next `times` of them (−1: until another is set), or `inserts` alone.

    `hang` never answers; `answer` gives `status`, `code` and `text`; `slow` takes ten times as long; the two `applied`
    ways hand the statement on and keep its answer back; `half` hands on half of the body, calls `hook` and hangs up.
    """

    way: Way
    times: int = -1
    inserts: bool = True
    status: int = 500
    code: int | None = None
    text: str = ""
    hook: Callable[[], None] = lambda: None


class Proxy:
    """Listens on a free loopback port, hands requests to `port`; use as a context."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._cleared = threading.Event()
        self.requests = self.inserts = self.spoilt = 0
        self.at: dict[int, Callable[[], None]] = {}
        """By the number of a request (from 1 on), what is called before it is handed on."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 600

            def do_GET(self) -> None:
                owner._handle(self)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self._server = Server((LOOPBACK, 0), Handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.set(None)
        self._server.shutdown()
        self._server.server_close()

    def set(self, fault: Fault | None) -> None:
        """From now on; what hangs is hung up."""
        with self._lock:
            self._fault = fault
            self._cleared.set()
            self._cleared = threading.Event()

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        self.set(fault)
        try:
            yield
        finally:
            self.set(None)

    def _next_fault(self, insert: bool) -> tuple[Fault | None, threading.Event]:
        with self._lock:
            self.requests += 1
            self.inserts += insert
            if at := self.at.get(self.requests):
                at()
            fault = self._fault
            if fault is None or (fault.inserts and not insert) or fault.times == 0:
                return None, self._cleared
            fault.times -= fault.times > 0
            self.spoilt += 1
            return fault, self._cleared

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = _body(request)
        insert = b"INSERT INTO" in body[:300] or "INSERT INTO" in unquote_plus(request.path)
        fault, cleared = self._next_fault(insert)
        way = fault.way if fault else None
        begun = time.monotonic()
        if fault and way == "answer":
            _answer(request, fault)
        elif way == "hang":
            cleared.wait(600)
            request.close_connection = True
        elif fault and way == "half":
            self._half(request, body)
            fault.hook()
            request.close_connection = True
        else:
            response, data = self._forward(request, body)
            if way == "slow":
                time.sleep(9 * (time.monotonic() - begun))
            elif way == "applied-then-silent":
                cleared.wait(600)
            if way and way.startswith("applied"):
                request.close_connection = True
                return
            _relay(request, response, data)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self._upstream, timeout=300)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
            connection.request(request.command, request.path, body, headers)
            response = connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException):
            request.close_connection = True
            raise
        finally:
            connection.close()

    def _half(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, self._upstream, timeout=10)
        connection.putrequest(request.command, request.path, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() not in _HOP:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[: len(body) // 2])
        connection.close()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if "chunked" in request.headers.get("Transfer-Encoding", ""):
        parts = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            parts.append(request.rfile.read(size))
            request.rfile.readline()
        request.rfile.readline()
        return b"".join(parts)
    return request.rfile.read(int(request.headers.get("Content-Length", 0)))


def _answer(request: BaseHTTPRequestHandler, fault: Fault) -> None:
    text = fault.text.encode()
    request.send_response(fault.status)
    if fault.code is not None:
        request.send_header("X-ClickHouse-Exception-Code", str(fault.code))
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text)


def _relay(request: BaseHTTPRequestHandler, response: http.client.HTTPResponse, data: bytes) -> None:
    request.send_response(response.status)
    for name, value in response.getheaders():
        if name.lower() not in _HOP:
            request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
