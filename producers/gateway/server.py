"""Runs the gateway: everything put together, on uvicorn, until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from infra.errors import ConfigurationError
from infra.metrics.server import Server as MetricsServer
from infra.metrics.server import serve
from producers.gateway.app import Events, application
from producers.gateway.handshakes import Handshakes
from producers.gateway.intake import Intake
from producers.gateway.keys import KeyRing, load
from producers.gateway.link import Link
from producers.gateway.meters import Meters
from producers.gateway.protocol import limited
from producers.gateway.spool import Spool
from producers.in_hand import InHand
from producers.source_reports import Reporter
from schemas.gateway_settings import GatewaySettings
from schemas.settings import Settings

GRACE_SECONDS = 15
OWN_FILES = 200
"""Files and connections that the process needs for itself."""
log = logging.getLogger("rollcall.gateway")


def keys_file(settings: Settings) -> Path:
    return settings.gateway.keys_file or settings.home / "gateway-keys.json"


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; every request that was begun is answered first.

    Raises ConfigurationError, or CheckFailed when Kafka answers but has no topic. Kafka need not answer.
    """
    own = settings.gateway
    context = tls(own)
    _allow_files(own.connections)
    load(keys_file(settings))  # a broken file is told at the start, and only then ends the process
    ring = KeyRing(keys_file(settings), time.monotonic)
    listener = listen(own.host, own.port)
    spool = Spool(own.spool or settings.home / "gateway-spool", own.spool_bytes)
    link = Link(settings.kafka, spool, answer_seconds=own.kafka_seconds, buffer_bytes=2 * own.waiting_bytes)
    link.start()
    intake = Intake(link, spool, own.kafka_seconds)
    hand = InHand()
    reporter = Reporter(own.name, link, spool, hand)
    meters = Meters(settings.kafka.topic, spool, link, ring, own.spool_bytes)
    config = uvicorn.Config(
        application(Events(own, ring, intake, link, meters, hand), meters),
        http=limited(own.connections, own.header_seconds, own.body_seconds), loop="uvloop", lifespan="off", ws="none",
        access_log=False, log_config=None, server_header=False, timeout_keep_alive=75, backlog=2048,
        proxy_headers=False, timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip
    server = _Server(config, own, context)
    meters.connections = lambda: len(server.server_state.connections)
    health = _serve_metrics(settings, meters)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: setattr(server, "should_exit", True))
    host, port = listener.getsockname()[:2]
    keys = ring.in_force(datetime.now(UTC))
    log.info(
        "listening on %s://%s:%d, %d keys%s", "https" if context else "http", host, port, keys,
        "" if keys else ": nobody can send yet, `rollcall gateway key add` makes a key", extra={"port": port},
    )  # fmt: skip
    if context is None and not _loopback(own.host):
        log.warning(
            "keys and names travel unencrypted: set ROLLCALL_GATEWAY_CERT_FILE and …_KEY_FILE, unless a proxy that "
            "speaks TLS stands in front"
        )
    # An answer passes through four threads: none may wait Python's 5 ms for its turn while the event loop is busy.
    sys.setswitchinterval(0.002)
    # What was made so far stays; what a request makes is gone with it, and holds no cycles worth looking for often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    reporter.start()
    try:
        server.run(sockets=[listener])
    finally:
        intake.close()
        reporter.close()
        link.close()
        spool.close()
        if health is not None:
            health.close()
    return 0


def tls(settings: GatewaySettings) -> ssl.SSLContext | None:
    """The server's TLS context, that asks for the client's certificate if it should; None without a certificate."""
    if settings.cert_file is None:
        if settings.key_file is not None or settings.client_ca_file is not None:
            raise ConfigurationError("ROLLCALL_GATEWAY_KEY_FILE or …_CLIENT_CA_FILE needs …_CERT_FILE: set it too")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    except OSError as error:
        raise ConfigurationError(
            f"ROLLCALL_GATEWAY_CERT_FILE={settings.cert_file} with …_KEY_FILE={settings.key_file}: {_why(error)}; "
            f"name PEM files of one certificate and its unencrypted key"
        ) from None
    if settings.client_ca_file is not None:
        try:
            context.load_verify_locations(settings.client_ca_file)
        except OSError as error:
            raise ConfigurationError(
                f"ROLLCALL_GATEWAY_CLIENT_CA_FILE={settings.client_ca_file}: {_why(error)}; name a PEM file"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ConfigurationError when the address cannot be had."""
    try:
        [family, _, _, _, address] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"{host} port {port} cannot be had ({(error.strerror or str(error)).lower()}): set ROLLCALL_GATEWAY_HOST "
            f"or …_PORT to others"
        ) from None
    return listener


class _Server(uvicorn.Server):
    """uvicorn's, with handshakes that are limited too."""

    def __init__(self, config: uvicorn.Config, own: GatewaySettings, context: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._own, self._context = own, context

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # run() has its own, and an ordered end is exit code 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._context is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for listener in sockets or []:
            shaking = Handshakes(
                listener, self._context, self._protocol, self._own.connections, self._own.header_seconds,
                lambda: len(self.server_state.connections),
            )  # fmt: skip
            shaking.start(self.config.backlog)
            self.servers.append(shaking)  # type: ignore[arg-type]  # uvicorn only closes them

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )
        return made


def _serve_metrics(settings: Settings, meters: Meters) -> MetricsServer | None:
    host, port = settings.metrics.host, settings.gateway.metrics_port
    if port == 0:
        return None
    try:
        checks = {"/health/live": meters.live, "/health/ready": meters.ready}
        return serve(host, port, meters.instruments.registry, checks)
    except OSError as error:
        log.warning(
            "metrics are not served: %s port %d cannot be had (%s); set ROLLCALL_GATEWAY_METRICS_PORT to another, or 0",
            host, port, (error.strerror or str(error)).lower(),
        )  # fmt: skip
        return None


def _allow_files(connections: int) -> None:
    """Lets the process have a file descriptor for each connection, and some for itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning(
            "only %d files may be open at once: raise the limit (ulimit -n) to %d, or lower "
            "ROLLCALL_GATEWAY_CONNECTIONS", allowed, wanted,
        )  # fmt: skip


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a PEM file").lower().replace("_", " ")
    return (error.strerror or str(error)).lower()
