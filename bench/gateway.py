"""The gateway beside an empty handler of the same server: `python -m bench.gateway [--requests N]`.

Batches of 100 events, each acknowledged by a Kafka of its own on this machine; plain, over TLS, over mutual TLS. Told
are: the limit (64 connections, each sending when it was answered), the server process's CPU seconds a million events
there, and the time from when a request was due until its answer at half of that limit (requests fall due evenly,
whatever the server does).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import trustme
import uvloop

from bench.events import events
from infra.kafka.topics import ensure_topics
from infra.local.kafka import KafkaNode
from infra.local.ports import LOOPBACK, free_port
from infra.local.processes import BackgroundProcess
from infra.waiting import wait_until
from producers.gateway import keys
from producers.gateway.server import keys_file
from schemas.settings import PREFIX, Settings

BATCH = 100
BODIES = 50
CONNECTIONS = 64
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """CPU seconds are of the server's process alone; milliseconds are at half of the limit."""

    name: str
    events_a_second: float
    cpu_seconds_a_million: float
    p50: float
    p99: float

    def __str__(self) -> str:
        return (
            f"{self.name:28}{self.events_a_second:12,.0f} events/s{self.cpu_seconds_a_million:8.2f} CPU s/million"
            f"{self.p50:8.1f} ms p50{self.p99:8.1f} ms p99"
        )


class Client(asyncio.Protocol):
    """One connection that sends whole requests and waits for the end of each answer."""

    def __init__(self) -> None:
        self._got, self._answered = b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of another class

    async def send(self, request: bytes) -> bytes:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return bytes(await self._answered)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, _, body = self._got.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length: ")
        if at >= 0 and len(body) >= int(head[at + 16 :].split(b"\r")[0]):
            answer, self._got = self._got, b""
            self._answered.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the server hung up"))
            self._answered.exception()  # looked at, if nobody waits


async def _load(
    port: int, bodies: list[bytes], requests: int, rate: float | None, tls: ssl.SSLContext | None
) -> tuple[float, list[float]]:  # fmt: skip
    """Seconds it took, and each request's seconds. Without `rate` a connection sends when it was answered."""
    loop, due = asyncio.get_running_loop(), iter(range(requests))
    named = "localhost" if tls else None
    clients = [
        (await loop.create_connection(Client, LOOPBACK, port, ssl=tls, server_hostname=named))[1]
        for _ in range(CONNECTIONS)
    ]  # fmt: skip
    took: list[float] = []
    begun = time.perf_counter()

    async def work(client: Client) -> None:
        for number in due:
            at = time.perf_counter() if rate is None else begun + number / rate
            if (wait := at - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            answer = await client.send(bodies[number % len(bodies)])
            if not answer.startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"not taken: {answer[:500]!r}")
            took.append(time.perf_counter() - at)

    await asyncio.gather(*(work(client) for client in clients))
    return time.perf_counter() - begun, took


def measure(
    name: str, pid: int, port: int, bodies: list[bytes], requests: int, tls: ssl.SSLContext | None = None
) -> Figures:  # fmt: skip
    uvloop.run(_load(port, bodies, requests // 10, None, tls))  # warm
    before = _cpu(pid)
    seconds, _ = uvloop.run(_load(port, bodies, requests, None, tls))
    used = _cpu(pid) - before
    limit = requests / seconds
    _, took = uvloop.run(_load(port, bodies, requests // 2, limit / 2, tls))
    took.sort()
    million = requests * BATCH / 1e6
    return Figures(
        name, limit * BATCH, used / million, took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
    )  # fmt: skip


def requests_of(token: str) -> list[bytes]:
    stream = [event for _, event in events(BODIES * BATCH, 0.95)]
    made = []
    for start in range(0, len(stream), BATCH):
        body = b"[" + b",".join(stream[start : start + BATCH]) + b"]"
        head = (
            f"POST /v1/events HTTP/1.1\r\nhost: {LOOPBACK}\r\nauthorization: Bearer {token}\r\n"
            f"content-type: application/cloudevents-batch+json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def empty_handler(port: int) -> None:
    """The same server with an application that reads the body and says 202."""
    import uvicorn

    from producers.gateway.protocol import limited

    async def app(scope: object, receive, send) -> None:  # type: ignore[no-untyped-def]
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    uvicorn.run(
        app, host=LOOPBACK, port=port, http=limited(1000, 10, 20), loop="uvloop", lifespan="off", ws="none",
        access_log=False, log_config=None, server_header=False,
    )  # fmt: skip


def certificates(folder: Path) -> tuple[dict[str, str], dict[str, str], ssl.SSLContext]:
    """The gateway's variables for TLS, those that mutual TLS adds, and what a client shows and trusts."""
    authority = trustme.CA()
    for name in ("localhost", "client.example"):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client.load_cert_chain(folder / "client.example.pem")
    served = {f"{PREFIX}GATEWAY_CERT_FILE": str(folder / "localhost.pem")}
    return served, {f"{PREFIX}GATEWAY_CLIENT_CA_FILE": str(folder / "ca.pem")}, client


def _cpu(pid: int) -> float:
    """User and system seconds of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def _process(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        if not wait_until(lambda: _listens(port), 30):
            raise SystemExit(f"{command[-1]} does not listen on port {port}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def _listens(port: int) -> bool:
    import socket

    try:
        socket.create_connection((LOOPBACK, port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def _kafka(folder: Path) -> Iterator[KafkaNode]:
    process = BackgroundProcess("Kafka", folder / "kafka.json", folder / "kafka.log", folder / "kafka")
    node = KafkaNode(folder / "kafka", free_port(), process)
    node.start(print)
    try:
        if not wait_until(node.answers, 60):
            raise SystemExit(process.tail())
        yield node
    finally:
        process.stop(10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.gateway", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="batches of 100 at the limit; half of it at half")
    parser.add_argument("--empty", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.empty:
        empty_handler(arguments.empty)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Kafka is taken down then too
    with tempfile.TemporaryDirectory() as folder, _kafka(Path(folder)) as node:
        port = free_port()
        settings = Settings(
            home=Path(folder) / "home", kafka={"bootstrap": node.address},
            gateway={"port": port, "metrics_port": 0, "connections": 1_000},
        )  # fmt: skip
        ensure_topics(settings, lambda _: None)
        _, token = keys.add(keys_file(settings), "bench", ("*",), ("*",), datetime.now(UTC), rate=1e9)
        bodies = requests_of(token)
        environment = {
            f"{PREFIX}HOME": str(settings.home), f"{PREFIX}KAFKA_BOOTSTRAP": node.address,
            f"{PREFIX}GATEWAY_PORT": str(port), f"{PREFIX}GATEWAY_METRICS_PORT": "0", f"{PREFIX}LOG_LEVEL": "warning",
        }  # fmt: skip
        other = free_port()
        with _process([sys.executable, "-m", "bench.gateway", "--empty", str(other)], other, {}) as pid:
            print(measure("empty handler", pid, other, bodies, arguments.requests), flush=True)
        served, mutual, client = certificates(Path(folder))
        ways: tuple[tuple[str, dict[str, str], ssl.SSLContext | None], ...] = (
            ("", {}, None), (", TLS", served, client), (", mutual TLS", served | mutual, client)
        )  # fmt: skip
        for way, more, tls in ways:
            with _process([sys.executable, "-m", "console.main", "gateway"], port, environment | more) as pid:
                print(measure(f"rollcall gateway{way}", pid, port, bodies, arguments.requests, tls), flush=True)


if __name__ == "__main__":
    main()
