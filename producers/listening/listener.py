"""Sockets that syslog is sent to: UDP, TCP and TLS. Nothing is read from a connection while what came is not safe.

At the end a TCP connection is half-closed, and read until its sender has closed too: an orderly end loses nothing of a
sender that looks.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from producers.in_hand import InHand
from producers.listening.framing import Framing
from producers.listening.lines import LineTally

CHUNK: Final = 65_536
AHEAD_BYTES: Final = 128 << 10
"""Of a connection that the system may take while this process has not: what a kill costs at most, about."""
DATAGRAMS: Final = 20_000
"""That wait for their turn."""
RECEIVE_BYTES: Final = 8 << 20
"""Asked of the system for datagrams that were not fetched yet; it may give less."""
ACCEPT_SECONDS: Final = 0.1
"""At the end, for those that the system has connected already."""
CLOSE_SECONDS: Final = 3.0
Take = Callable[[Sequence[bytes]], Awaitable[None]]


class Streams:
    """TCP, with `context` TLS. `connections` at once; a further one is closed."""

    def __init__(
        self, take: Take, tally: LineTally, *, connections: int, message_bytes: int,
        context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._take, self._tally, self._context = take, tally, context
        self._connections, self._message_bytes = connections, message_bytes
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, AHEAD_BYTES)
        self._server = await asyncio.start_server(
            self._serve, sock=listener, ssl=self._context, limit=CHUNK,
            ssl_handshake_timeout=10.0 if self._context else None,
        )  # fmt: skip

    async def close(self) -> None:
        """Returns when what was read is safe, at the latest CLOSE_SECONDS after the last sender was told."""
        await asyncio.sleep(ACCEPT_SECONDS)
        if self._server is not None:
            self._server.close()
        for writer in self._open.values():
            with suppress(OSError, RuntimeError, NotImplementedError):
                if writer.can_write_eof():
                    writer.write_eof()
        tasks = set(self._open)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._open) < self._connections:
                self._open[task] = writer
                # A sender that vanished without a word does not keep its place for ever.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                await self._read(reader)
            else:
                self._tally.turned_away += 1
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.pop(task, None)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        framing = Framing(self._message_bytes)
        try:
            while data := await reader.read(CHUNK):
                if messages := framing.feed(data):
                    await self._take(messages)
        finally:
            self._tally.too_long += framing.too_long
            if framing.rest.strip(b"\r\n\0 "):
                self._tally.cut_off += 1


class Datagrams(asyncio.DatagramProtocol):
    """UDP: a message a datagram. What comes faster than it can be stored is lost, and counted."""

    def __init__(self, take: Take, tally: LineTally, hand: InHand) -> None:
        self._take, self._tally, self._hand = take, tally, hand
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(DATAGRAMS)
        self._held: object | None = None
        """In hand, for those that wait."""
        self._transport: asyncio.DatagramTransport | None = None
        self._pump: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=listener)
        self._pump = asyncio.create_task(self._run())

    def datagram_received(self, data: bytes, address: object) -> None:
        if message := data.strip(b"\r\n\0"):
            try:
                self._waiting.put_nowait(message)
                self._held = self._held or self._hand.hold()
            except asyncio.QueueFull:
                self._tally.lost += 1

    async def close(self) -> None:
        """Returns when all that was fetched is safe, at the latest after CLOSE_SECONDS."""
        if self._transport is not None and self._pump is not None:
            self._transport.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._waiting.put(None)
                    await self._pump
            self._pump.cancel()

    async def _run(self) -> None:
        message = await self._waiting.get()
        while message is not None:
            messages = [message]
            while not self._waiting.empty() and (message := self._waiting.get_nowait()) is not None:
                messages.append(message)
            held, self._held = self._held, None
            await self._take(messages)
            if held is not None:
                self._hand.release(held)
            if message is None:
                return
            message = await self._waiting.get()
