"""`rollcall source run syslog` as it is run: real senders over UDP, TCP and TLS; Kafka away, and back."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from infra.errors import ConfigurationError
from infra.local.ports import LOOPBACK, free_port
from infra.waiting import wait_until
from producers.listening.syslog import check_syslog, open_listeners, run_syslog
from schemas.array import elements
from schemas.settings import KafkaSettings, Settings
from schemas.source_settings import SyslogSettings
from tests.faults.readers import spooled
from tests.integration.command import start
from tests.integration.test_producer import records

AWAY = KafkaSettings(bootstrap="127.0.0.1:1")


def line(number: int, *, kind: str = "AGENT_CONNECTED", sid: str | None = None) -> bytes:
    return (
        f'<110>1 2026-10-31T23:{number // 60 % 60:02}:{number % 60:02}.000+09:00 view-cs1 View - 101 [View@6876 '
        f'EventType="{kind}" UserSID="{sid or f"S-1-5-21-{number}"}" DesktopId="finance"]'
    ).encode()


def counted(message: bytes) -> bytes:
    return b"%d %s" % (len(message), message)


@contextmanager
def listening(folder: Path, scheme: str, **settings: Any) -> Iterator[tuple[int, list[str]]]:
    """The port, and what it tells; it has ended in order when the block is left."""
    port, stop, told, outcome = free_port(), threading.Event(), list[str](), list[bool]()
    url = f"{scheme}://{LOOPBACK}:{port}"

    def run() -> None:
        given = SyslogSettings(**settings)
        outcome.append(run_syslog("/horizon/1", url, given, folder, AWAY, stop, told.append))

    thread = threading.Thread(target=run)
    thread.start()
    assert wait_until(lambda: any("listening" in text for text in told) or not thread.is_alive(), 20.0, pause=0.01)
    try:
        yield port, told
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def users(folder: Path) -> list[str]:
    folder.joinpath("source.spool").unlink(missing_ok=True)
    folder.joinpath("source.spool").symlink_to(folder / "horizon_1.spool")
    return [event["subject"] for event in spooled(folder)]


def test_tcp_both_framings_and_what_is_no_login(tmp_path: Path) -> None:
    with listening(tmp_path, "tcp", message_bytes=2048) as (port, told):
        with socket.create_connection((LOOPBACK, port)) as sender:
            sender.sendall(counted(line(1)) + line(2) + b"\n" + counted(b"<110>1 " + b"x" * 5000) + line(3) + b"\r\n")
            sender.sendall(line(4, kind="AGENT_ENDED") + b"\n<34>1 2026-10-31T00:00:00Z h su - 1 - other\n")
            sender.sendall(line(5, sid="")[:-30] + b"\n" + line(6)[:-20])  # broken, and cut off
        with socket.create_connection((LOOPBACK, port)) as sender:  # an orderly end reads what is still on its way
            sender.sendall(b"".join(line(n) + b"\n" for n in range(100, 160)))
    assert set(users(tmp_path)) == {f"S-1-5-21-{n}" for n in (1, 2, 3, *range(100, 160))}
    assert (tmp_path / "horizon_1.rejects").read_bytes() == line(5, sid="")[:-30] + b"\n"
    assert (tmp_path / "horizon_1.lost").read_text() == "1\n"
    said = "\n".join(told)
    for part in ("EventType is AGENT_ENDED", "another program's line", "1 refused", "1 too long", "1 cut off"):
        assert part in said


def test_udp(tmp_path: Path) -> None:
    with listening(tmp_path, "syslog") as (port, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(500):
            sender.sendto(line(number), (LOOPBACK, port))
        with socket.create_connection((LOOPBACK, port)) as stream:
            stream.sendall(counted(line(1000)))
        assert wait_until(lambda: spool_has(tmp_path, b"S-1-5-21-499"), 20.0, pause=0.02)
    assert set(users(tmp_path)) == {f"S-1-5-21-{n}" for n in (*range(500), 1000)}


def spool_has(folder: Path, text: bytes) -> bool:
    return any(text in file.read_bytes() for file in (folder / "horizon_1.spool").glob("*.spool"))


def test_tls_with_the_senders_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    server, client = authority.issue_cert("localhost"), authority.issue_cert("view-cs1.example")
    pem = {name: tmp_path / f"{name}.pem" for name in ("cert", "key", "ca")}
    server.cert_chain_pems[0].write_to_path(pem["cert"])
    server.private_key_pem.write_to_path(pem["key"])
    authority.cert_pem.write_to_path(pem["ca"])
    known = ssl.create_default_context(cafile=str(pem["ca"]))
    stranger = ssl.create_default_context(cafile=str(pem["ca"]))
    client.configure_cert(known)
    files = {"cert_file": str(pem["cert"]), "key_file": str(pem["key"]), "client_ca_file": str(pem["ca"])}

    def send(context: ssl.SSLContext, port: int, message: bytes) -> None:
        with socket.create_connection((LOOPBACK, port)) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as sender:
            sender.sendall(message)
            with suppress(OSError):
                sender.unwrap()

    with listening(tmp_path, "tls", **files) as (port, _):
        with suppress(OSError):
            send(stranger, port, counted(line(1)))
        send(known, port, counted(line(2)))
        assert wait_until(lambda: spool_has(tmp_path, b"S-1-5-21-2"), 20.0, pause=0.02)
    assert set(users(tmp_path)) == {"S-1-5-21-2"}


MAP = """records: json
login:
  time: {from: time}
  subject: {from: "data['auth@1'].user"}
  product: {from: host}
only:
  - {from: program, in: [gate]}
"""


def test_other_programs_by_a_map(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(MAP)
    with listening(tmp_path, "tcp", map=str(tmp_path / "gate.yaml")) as (port, told), \
            socket.create_connection((LOOPBACK, port)) as sender:
        sender.sendall(b'<13>1 2026-10-31T23:59:59.5+09:00 vpn-1 gate - in [auth@1 user="anna"] welcome\n')
        sender.sendall(b'<13>1 2026-10-31T23:59:59.6+09:00 vpn-1 cron - - [auth@1 user="root"] tick\n')
    assert users(tmp_path) == ["anna"]
    assert any("not what the map's `only` asks" in text for text in told)


@pytest.mark.parametrize(("reads", "settings", "told"), [
    ("http://127.0.0.1:1", {}, "write udp://"), ("tcp://127.0.0.1", {}, "write udp://"),
    ("tls://127.0.0.1:0", {}, "needs a certificate"), ("tcp://127.0.0.1:0", {"map": "/nowhere"}, "cannot be read"),
    ("tls://127.0.0.1:0", {"cert_file": "/nowhere"}, "name PEM files"),
])  # fmt: skip
def test_what_it_says_when_it_cannot_listen(
    tmp_path: Path, reads: str, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        run_syslog("/h", reads, SyslogSettings(**settings), tmp_path, AWAY, threading.Event(), print)
    assert check_syslog("syslog://127.0.0.1:0", SyslogSettings())[1].startswith("tcp://127.0.0.1:")
    [(_, taken)] = open_listeners("tcp://127.0.0.1:0")
    taken.listen()
    with pytest.raises(ConfigurationError, match="name another port"):
        open_listeners(f"tcp://127.0.0.1:{taken.getsockname()[1]}")
    taken.close()


def test_kafka_away_and_back(make_settings: Any, tmp_path: Path) -> None:
    settings: Settings = make_settings().model_copy(update={"home": tmp_path / "home"})
    folder, port = tmp_path / "home" / "sources", free_port()
    with listening(folder, "tcp") as (first, _), socket.create_connection((LOOPBACK, first)) as sender:
        sender.sendall(b"".join(counted(line(n)) for n in range(300)))
    assert list((folder / "horizon_1.spool").glob("*.spool")), "in the spool"
    listener = start(settings, "source", "run", "syslog", f"tcp://{LOOPBACK}:{port}", "--source", "/horizon/1")
    try:
        assert wait_until(lambda: answers(port), 60.0, pause=0.05)
        with socket.create_connection((LOOPBACK, port)) as sender:
            sender.sendall(b"".join(counted(line(n)) for n in range(300, 400)))
        listener.send_signal(signal.SIGTERM)
        assert ended(listener) == 0
    finally:
        listener.kill()
    values = [record.value for record in records(settings.kafka)]
    events = [one for value in values for one in (elements(value) if value[:1] == b"[" else [value])]
    found = [json.loads(one)["subject"] for one in events]
    assert set(found) == {f"S-1-5-21-{n}" for n in range(400)}


def answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def ended(process: subprocess.Popen[bytes]) -> int:
    _, told = process.communicate(timeout=60)
    print(told.decode())
    return process.returncode
