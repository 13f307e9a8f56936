"""Accepts TLS connections: how many are shaking hands counts against the limit, and how long they may take ends.

The event loop's own server has no limit on either: a client that connects and never speaks would hold its place for a
minute, and be counted by nobody.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

EXHAUSTED_SECONDS: Final = 0.2
"""After accepting has failed (no file descriptors are left) it is tried again so much later."""
log = logging.getLogger("rollcall.gateway")


class Handshakes:
    """A listening socket whose connections become `make`'s protocols when they have shaken hands, within `seconds`.

    `connections` tells how many there are already; with those under way they are `most`. One more is closed at once:
    an answer would need its handshake.
    """

    def __init__(
        self, listener: socket.socket, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], most: int,
        seconds: float, connections: Callable[[], int],
    ) -> None:  # fmt: skip
        self._listener, self._context, self._make = listener, context, make
        self._most, self._seconds, self._connections = most, seconds, connections
        self._under_way: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self, backlog: int) -> None:
        self._listener.listen(backlog)
        self._listener.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """No more are accepted; those under way are given up."""
        for task in (self._accepting, *self._under_way):
            if task is not None:
                task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(*filter(None, (self._accepting, *self._under_way)), return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                log.warning("a connection cannot be accepted: %s", error.strerror or error)
                await asyncio.sleep(EXHAUSTED_SECONDS)
                continue
            if self._connections() + len(self._under_way) >= self._most:
                connection.close()
                continue
            task = loop.create_task(self._shake(connection))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _shake(self, connection: socket.socket) -> None:
        # OSError: a handshake that failed, or took too long.
        with suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make, connection, ssl=self._context, ssl_handshake_timeout=self._seconds
            )
