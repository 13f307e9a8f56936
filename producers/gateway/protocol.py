"""uvicorn's HTTP protocol, with what it lacks: limits on connections, headers, slowness; the client's certificate."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from producers.gateway.app import BUSY_SECONDS, CERTIFICATE

HEADER_BYTES: Final = 64 << 10


class Protocol(HttpToolsProtocol):
    """One connection. The limits are set on a subclass: see `limited`."""

    most_connections: ClassVar[int] = 1_000
    header_seconds: ClassVar[float] = 10.0
    body_seconds: ClassVar[float] = 20.0

    _turned_away = False
    _in_headers = True
    _headers_ended = False
    _header_bytes = 0
    _patience: asyncio.TimerHandle | None = None
    _deaf: asyncio.TimerHandle | None = None
    _certificate: frozenset[str] = frozenset()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        busy = len(self.connections) >= self.most_connections
        super().connection_made(transport)
        if busy:
            self._turn_away(
                b"503 Service Unavailable", b"the gateway has as many connections as it takes: come back later",
                b"retry-after: %d\r\n" % BUSY_SECONDS,
            )  # fmt: skip
            return
        self._certificate = names(transport.get_extra_info("peercert"))
        self._wait(self.header_seconds)

    def data_received(self, data: bytes) -> None:
        if self._turned_away:
            return
        self._headers_ended = False
        super().data_received(data)
        if self._in_headers and not self._headers_ended and self.parser is not None:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES:
                self._turn_away(b"431 Request Header Fields Too Large", b"the headers are longer than 64 KiB")
            elif self._patience is None:  # a further request on this connection has begun
                self._wait(self.header_seconds)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self.scope[CERTIFICATE] = self._certificate  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._in_headers, self._headers_ended, self._header_bytes = False, True, 0
        self._wait(self.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._rest()
        self._in_headers = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        super().pause_writing()
        self._deaf = self.loop.call_later(self.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        if self._deaf is not None:
            self._deaf.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._turn_away(b"400 Bad Request", b"this is no HTTP request that can be read")

    def _wait(self, seconds: float) -> None:
        self._rest()
        self._patience = self.loop.call_later(seconds, self._give_up)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._turn_away(b"408 Request Timeout", b"the request did not come in time: send it again")

    def _turn_away(self, status: bytes, detail: bytes, headers: bytes = b"") -> None:
        """Answers without the application, and closes. In the middle of an answer it only closes."""
        self._turned_away = True
        self._rest()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            code, _, title = status.partition(b" ")
            body = b'{"title":"%s","status":%s,"detail":"%s"}' % (title, code, detail)
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-type: application/problem+json\r\nconnection: close\r\n" + headers
                + b"content-length: %d\r\n\r\n" % len(body) + body
            )  # fmt: skip
        self.transport.close()


def limited(connections: int, header_seconds: float, body_seconds: float) -> type[Protocol]:
    """The protocol with these limits; what uvicorn takes as `http`."""
    limits: dict[str, Any] = {
        "most_connections": connections, "header_seconds": header_seconds, "body_seconds": body_seconds,
    }  # fmt: skip
    return type("LimitedProtocol", (Protocol,), limits)


def names(certificate: dict[str, Any] | None) -> frozenset[str]:
    """Common name, DNS names and URIs of a peer's certificate that the server has checked."""
    if not certificate:
        return frozenset()
    subject = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    others = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI", "email")]
    return frozenset([*subject, *others])
