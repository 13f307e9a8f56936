"""`rollcall source run syslog`: everything put together, until it is told to stop.

What comes goes to Kafka, and to a spool of its own on disk while Kafka is away. Syslog acknowledges nothing: what the
system had taken from a sender, but this process not yet stored, is lost when it is killed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

from infra.errors import ConfigurationError
from producers.adapters.adapter import Adapter, AdapterOptions
from producers.adapters.horizon import HorizonSyslogAdapter
from producers.adapters.login_map import parse_login_map
from producers.adapters.mapped import MappedAdapter
from producers.gateway.intake import Intake
from producers.gateway.link import Link
from producers.gateway.spool import Spool
from producers.in_hand import InHand
from producers.listening.lines import Lines, LineTally
from producers.listening.listener import Datagrams, Streams
from producers.source_folder import file_name
from producers.source_reports import Reporter
from schemas.settings import KafkaSettings
from schemas.source_settings import SyslogSettings

KAFKA_SECONDS = 5.0
_BUFFER = 64 << 20
_SCHEMES = {"udp": ("udp",), "tcp": ("tcp",), "tls": ("tls",), "syslog": ("udp", "tcp")}
log = logging.getLogger("rollcall.source")


def run_syslog(
    source: str, reads: str, settings: SyslogSettings, folder: Path, kafka: KafkaSettings, stop: Event,
    tell: Callable[[str], None],
) -> bool:  # fmt: skip
    """Listens at `reads` (udp://HOST:PORT, tcp://, tls://, or syslog:// for UDP and TCP) until `stop`.

    Returns whether no line was refused. Kafka need not answer. Raises ConfigurationError, or CheckFailed when Kafka
    answers but has no topic.
    """
    listeners = open_listeners(reads)
    context = tls(settings) if any(scheme == "tls" for scheme, _ in listeners) else None
    adapter = syslog_adapter(settings)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = file_name(source)
    try:
        spool = Spool(folder / f"{name}.spool", settings.spool_bytes)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: is it being listened to by another process? {error}") from None
    link = Link(kafka, spool, answer_seconds=KAFKA_SECONDS, buffer_bytes=_BUFFER)
    try:
        link.start()
        intake = Intake(link, spool, KAFKA_SECONDS)
        hand = InHand()
        lines = Lines(
            adapter, intake, hand, folder / f"{name}.rejects", source=source, tenant=settings.tenant, sku=settings.sku
        )
        lines.refused()  # that its files can be read
        reporter = Reporter(source, link, spool, hand, lines.refused)
        reporter.start()
        try:
            asyncio.run(_serve(listeners, lines, hand, settings, context, stop, source, tell))
        finally:
            intake.close()
            reporter.close()
    finally:
        link.close()
        spool.close()
    _told(source, lines.tally, tell)
    return lines.tally.refused == 0


async def _serve(
    listeners: list[tuple[str, socket.socket]], lines: Lines, hand: InHand, settings: SyslogSettings,
    context: ssl.SSLContext | None, stop: Event, source: str, tell: Callable[[str], None],
) -> None:  # fmt: skip
    serving: list[Streams | Datagrams] = []
    for scheme, listener in listeners:
        one = Datagrams(lines.take, lines.tally, hand) if scheme == "udp" else Streams(
            lines.take, lines.tally, connections=settings.connections, message_bytes=settings.message_bytes,
            context=context if scheme == "tls" else None,
        )  # fmt: skip
        await one.start(listener)
        serving.append(one)
        host, port = listener.getsockname()[:2]
        tell(f"{source}: listening on {scheme}://{host}:{port}")
    await asyncio.to_thread(stop.wait)
    await asyncio.gather(*(one.close() for one in serving))


def check_syslog(reads: str, settings: SyslogSettings) -> list[str]:
    """Where it would listen. Nothing is read. Raises ConfigurationError for all that would keep it from listening."""
    listeners = open_listeners(reads)
    try:
        if any(scheme == "tls" for scheme, _ in listeners):
            tls(settings)
        syslog_adapter(settings)
        return [f"{scheme}://{':'.join(map(str, listener.getsockname()[:2]))}" for scheme, listener in listeners]
    finally:
        for _, listener in listeners:
            listener.close()


def syslog_adapter(settings: SyslogSettings) -> Adapter:
    """How lines are read: Horizon's, or by a map over time, host, program, message, data and line."""
    if settings.map is None:
        return HorizonSyslogAdapter(AdapterOptions(policy=settings.policy))
    try:
        text = Path(settings.map).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the map {settings.map} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    found = parse_login_map(text, Path(settings.map).name)
    if found.records != "json" or found.each:
        raise ConfigurationError(f"{settings.map}: for syslog write records: json, without each")
    if settings.policy:
        raise ConfigurationError("a map takes no policy: say in its only and except what counts")
    return MappedAdapter(found, "syslog", zone=settings.zone, has_sku=settings.sku is not None)


def open_listeners(reads: str) -> list[tuple[str, socket.socket]]:
    """Bound sockets, each with how it speaks. Raises ConfigurationError."""
    try:
        parts = urlsplit(reads)
        schemes, host, port = _SCHEMES[parts.scheme], parts.hostname, parts.port
        if not host or port is None or parts.path.strip("/"):
            raise ValueError
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"{reads}: write udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, or syslog://HOST:PORT for UDP and TCP"
        ) from None
    found = list[tuple[str, socket.socket]]()
    for scheme in schemes:
        kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
            listener = socket.socket(family, kind)
            if scheme != "udp":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise ConfigurationError(
                f"{reads} cannot be listened on ({(error.strerror or str(error)).lower()}): name another port, or end "
                f"what has it; below 1024 only root may"
            ) from None
        found.append((scheme, listener))
    return found


def tls(settings: SyslogSettings) -> ssl.SSLContext:
    """Raises ConfigurationError for files that are missing or broken."""
    if settings.cert_file is None:
        raise ConfigurationError("tls:// needs a certificate: name its PEM file (cert_file), and its key's (key_file)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        if settings.client_ca_file is not None:
            context.load_verify_locations(settings.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise ConfigurationError(
            f"cert_file, key_file, client_ca_file: {(error.strerror or str(error)).lower()}; name PEM files of one "
            f"certificate, its unencrypted key, and the senders' authority"
        ) from None
    return context


def _told(source: str, tally: LineTally, tell: Callable[[str], None]) -> None:
    tell(f"{source}: {tally.lines:,} lines, {tally.logins:,} logins sent")
    for why, count in tally.not_logins.most_common():
        tell(f"{source}: {count:,} not a login: {why}")
    for count, what in (
        (tally.refused, "refused: mend and push the file of rejects"),
        (tally.not_kept, "of them not kept: the file of rejects has no room"), (tally.too_long, "too long: passed by"),
        (tally.cut_off, "cut off by the end of their connection"), (tally.lost, "datagrams lost: no room"),
        (tally.turned_away, "connections turned away: raise `connections`, or let a relay gather them"),
    ):  # fmt: skip
        if count:
            tell(f"{source}: {count:,} {what}")
