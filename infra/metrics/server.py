"""Serves /metrics (OpenMetrics, or Prometheus's own text) and health, from a thread of its own.

What is asked here must not wait for the work: a health check answers also while the work hangs.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


class Answer(NamedTuple):
    """What a health check says: 200 when it is well, else 503; the facts are the JSON body."""

    well: bool
    facts: Mapping[str, Any]


class Server:
    """A listening server; `port` is the one that it got. `close` ends it."""

    def __init__(self, http: ThreadingHTTPServer) -> None:
        self._http = http
        self.port = int(http.server_address[1])

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def serve(host: str, port: int, registry: CollectorRegistry, checks: Mapping[str, Callable[[], Answer]]) -> Server:
    """Listens on host and port; `checks` are asked by their path. Raises OSError when the address cannot be had."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0  # of a client that says nothing

        def version_string(self) -> str:
            return "Rollcall"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].rstrip("/")
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._reply(HTTPStatus.OK, encode(registry), content_type)
            elif check := checks.get(path):
                well, facts = check()
                body = json.dumps(facts, ensure_ascii=False, default=str).encode() + b"\n"
                status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
                self._reply(status, body, "application/json")
            else:
                there = " ".join(["/metrics", *checks])
                self._reply(HTTPStatus.NOT_FOUND, f"there is: {there}\n".encode(), "text/plain; charset=utf-8")

        do_HEAD = do_GET

        def _reply(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """A scrape is no fact worth a line."""

    class Http(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is no fault of ours."""

    http = Http((host, port), Handler)
    threading.Thread(target=http.serve_forever, name="metrics", daemon=True).start()
    return Server(http)
