"""A gateway as its operator runs it: a process of its own, and a client that can also misbehave."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from infra.local.ports import LOOPBACK, free_port
from infra.waiting import wait_until
from producers.gateway import keys
from producers.gateway.server import keys_file
from schemas.settings import Settings
from tests.integration.command import start

BATCH = "application/cloudevents-batch+json"
ONE = "application/cloudevents+json"


class Said(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def event(id: str, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id, "source": "/a", "type": "rollcall.login.v1",
        "time": "2026-10-31T23:59:59+09:00", "subject": f"user{id}", "data": {"tenant": "t", "sku": "s"}, **changes,
    }  # fmt: skip


def settings_of(home: Path, bootstrap: str, topic: str, **gateway: Any) -> Settings:
    return Settings(
        home=home, kafka={"bootstrap": bootstrap, "topic": topic},
        gateway={"port": free_port(), "metrics_port": free_port(), **gateway},
    )  # fmt: skip


def key(settings: Settings, **rights: Any) -> str:
    """A token that may send everything, unless told otherwise."""
    given = {"sources": ("*",), "tenants": ("*",), "rate": 1e9, **rights}
    return keys.add(keys_file(settings), "test", now=datetime.now(UTC), **given)[1]


class Gateway:
    """A running one. `post` sends one request on a connection of its own."""

    def __init__(self, settings: Settings, process: subprocess.Popen[bytes], tls: ssl.SSLContext | None) -> None:
        self.settings, self.process, self.tls = settings, process, tls
        self.token = key(settings)

    def post(
        self, body: Any, kind: str | None = BATCH, *, token: str | None = None, headers: dict[str, str] | None = None,
        path: str = "/v1/events",
    ) -> Said:  # fmt: skip
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {token or self.token}", **({"Content-Type": kind} if kind else {})}
        return self.ask("POST", path, content, {**sent, **(headers or {})})

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Said:
        port = self.settings.gateway.port
        if self.tls is None:
            connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
        else:
            connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=self.tls)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
            return Said(answer.status, {n.lower(): v for n, v in answer.getheaders()}, json.loads(text))
        finally:
            connection.close()

    def facts(self) -> dict[str, Any]:
        """What its health says to its operator."""
        connection = http.client.HTTPConnection(LOOPBACK, self.settings.gateway.metrics_port, timeout=10)
        try:
            connection.request("GET", "/health/ready")
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    def raw(self, sent: bytes, *, wait: float = 10.0) -> bytes:
        """Everything that comes back for these bytes until the gateway closes, or `wait` seconds have passed."""
        with self.connected(wait) as connection:
            connection.sendall(sent)
            got = b""
            try:
                while part := connection.recv(65536):
                    got += part
            except (TimeoutError, ConnectionResetError, ssl.SSLError):
                pass
            return got

    def connected(self, wait: float = 10.0) -> socket.socket:
        connection = socket.create_connection(("localhost", self.settings.gateway.port), timeout=wait)
        return self.tls.wrap_socket(connection, server_hostname="localhost") if self.tls else connection

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def running(settings: Settings, tls: ssl.SSLContext | None = None) -> Iterator[Gateway]:
    """`rollcall gateway` until the block ends; it must end well by then, or have been killed in it."""
    process = start(settings, "gateway")
    try:
        assert wait_until(lambda: _listens(settings.gateway.port) or process.poll() is not None, 30.0)
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read().decode())
        yield Gateway(settings, process, tls)
        if process.poll() is None:
            process.terminate()
            assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
        if process.stderr is not None:
            process.stderr.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
