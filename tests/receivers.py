"""Receivers of submissions, on loopback: real protocols, and what goes wrong with them. Each keeps what it got."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

import asyncssh
from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
LOOPBACK = "127.0.0.1"


class SmtpScript:
    """A mail server that does as it is told. `got` are the messages that were whole, with their envelopes.

    `end`: what it does behind a whole message: answer 250, `refuse` it, `hang`, `drop` the connection, or `drip` so
    that the answer never ends. `broken`: the connection ends within the message's text.
    """

    def __init__(
        self, *, refused: tuple[str, ...] = (), data: str = "354 go on",
        end: Literal["answer", "refuse", "hang", "drop", "drip"] = "answer", broken: bool = False,
        greeting: str = "220 ok",
    ) -> None:  # fmt: skip
        self.refused, self.data, self.end, self.broken, self.greeting = refused, data, end, broken, greeting
        self.got: list[tuple[list[str], bytes]] = []
        self._stop = threading.Event()
        self._socket = socket.create_server((LOOPBACK, 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._stop.set()
        self._socket.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):  # the client went away
            self._session(connection, lines)

    def _session(self, connection: socket.socket, lines: Any) -> None:
        def say(text: str) -> None:
            connection.sendall(text.encode() + b"\r\n")

        say(self.greeting)
        recipients: list[str] = []
        for line in lines:
            verb = line.decode().strip()
            word = verb.partition(" ")[0].upper()
            if word == "EHLO":
                say("250-receiver\r\n250 SIZE 10000000")
            elif word == "RCPT":
                address = verb.partition("<")[2].partition(">")[0]
                if address in self.refused:
                    say("550 no such user")
                else:
                    recipients.append(address)
                    say("250 ok")
            elif word == "DATA":
                say(self.data)
                if self.data.startswith("354") and not self._message(connection, lines, recipients, say):
                    return
            elif word == "QUIT":
                return
            else:
                say("250 ok")

    def _message(self, connection: socket.socket, lines: Any, recipients: list[str], say: Any) -> bool:
        """False ends the connection."""
        if self.broken:
            lines.readline()
            return False
        text = b""
        while (line := lines.readline()) != b".\r\n":
            if not line:
                return False
            text += line[1:] if line.startswith(b".") else line
        if self.end == "refuse":
            say("554 it looks like spam")
            return True
        self.got.append((list(recipients), text))
        if self.end == "answer":
            say("250 queued as 4711")
        elif self.end == "hang":
            self._stop.wait(30)
        elif self.end == "drip":
            while not self._stop.wait(0.1):
                connection.sendall(b"250-more\r\n")
        return self.end == "answer"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or does not like the certificate, is no news."""


class HttpReceiver:
    """An HTTPS (or HTTP) receiver that checks signatures and takes each idempotency key once.

    `answers` are the statuses to come, `drop` (the request is taken, no answer given) and `cut` (not taken, no answer)
    among them; behind the last one everything is 202. `accepted` are the bodies taken, by key.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *answers: int | str) -> None:
        self.answers: list[int | str] = list(answers)
        self.accepted: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.receipts: dict[str, bytes] = {}
        self.body = b"thank you"
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                receiver._post(self)

            def do_GET(self) -> None:
                receiver._get(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "http" if context is None else "https"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str = "/reports", host: str = "localhost") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        headers = dict(request.headers)
        self.requests.append(("POST", request.path, headers))
        answer = self.answers.pop(0) if self.answers else 202
        try:
            Webhook(SECRET).verify(body, headers)
        except WebhookVerificationError:
            answer = 401
        key = request.headers["Idempotency-Key"]
        if answer == "drop" or (isinstance(answer, int) and 200 <= answer <= 299):
            self.accepted.setdefault(key, json.loads(body))
        self._answer(request, answer, self.body)

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(("GET", request.path, dict(request.headers)))
        try:
            Webhook(SECRET).verify(b"", dict(request.headers), json_parse=False)
        except WebhookVerificationError:
            self._answer(request, 401, b"")
            return
        key = parse_qs(urlsplit(request.path).query)["key"][0]
        if (receipt := self.receipts.get(key)) is None:
            self._answer(request, 404, b"")
        else:
            self._answer(request, 200, receipt)

    def _answer(self, request: BaseHTTPRequestHandler, answer: int | str, body: bytes) -> None:
        if isinstance(answer, str):
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        request.send_response(answer)
        if 300 <= answer <= 399:
            request.send_header("Location", self.url("/elsewhere"))
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


class SftpReceiver:
    """An SFTP server over a folder, for one key. `slow`: nobody lives to see a file written; `full`: none is."""

    def __init__(
        self, root: Path, client_key: asyncssh.SSHKey, *, slow: bool = False, full: bool = False, renames: bool = True
    ) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.logins = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        known = asyncssh.import_authorized_keys(client_key.export_public_key().decode())
        receiver = self

        class Files(asyncssh.SFTPServer):
            def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
                receiver.logins += 1
                super().__init__(channel, chroot=str(root).encode())

            async def write(self, file_obj: object, offset: int, data: bytes) -> int:
                if slow:
                    await asyncio.sleep(30)
                if full:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return cast(int, super().write(file_obj, offset, data))

            def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
                if not renames:
                    raise asyncssh.SFTPOpUnsupported("no such extension")
                return super().posix_rename(oldpath, newpath)

        async def listen() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                LOOPBACK, 0, server_host_keys=[self.host_key], authorized_client_keys=known, sftp_factory=Files
            )

        self._server = self._run(listen())
        self.port = self._server.get_port()

    @property
    def public_key(self) -> str:
        return self.host_key.export_public_key().decode().strip()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._run(self._server.wait_closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)
