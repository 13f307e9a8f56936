"""Polls of tests: what is sent goes to a file in place of Kafka, durable at every flush."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import urllib3

from producers.adapters.adapter import AdapterOptions
from producers.adapters.citrix import CitrixAdapter
from producers.polling.citrix import sessions
from producers.polling.citrix_login import CloudLogin
from producers.polling.odata import Service
from producers.polling.reader import Refusals, Tally, read
from producers.polling.watermark import Watermark

BEGIN = datetime(2026, 10, 31, 12, tzinfo=UTC)


class Where(Protocol):
    base: str
    trust: str


class FileSender:
    """Lines of a file in place of Kafka."""

    def __init__(self, file: Path, slow: float = 0.0) -> None:
        self._file, self._slow, self._waiting = file, slow, list[bytes]()

    def send_bytes(self, event: bytes, subject: str) -> None:
        self._waiting.append(event + b"\n")

    def flush(self) -> None:
        time.sleep(self._slow)
        with open(self._file, "ab") as out:
            out.write(b"".join(self._waiting))
            out.flush()
            os.fsync(out.fileno())
        self._waiting.clear()


def service(server: Where, **change: Any) -> Service:
    http = urllib3.PoolManager(maxsize=1, block=True)
    login = CloudLogin("acme", "client", change.pop("secret", "s3cret"), http, server.trust)
    return Service(server.base, login, http, **({"sleep": lambda _: None} | change))


def poll(
    server: Where, folder: Path, *, since: datetime = BEGIN, slow: float = 0.0, **change: Any
) -> Tally:
    with Watermark(folder, "citrix_eu") as watermark:
        start = watermark.mark - timedelta(minutes=5) if watermark.mark else since
        return read(
            sessions(service(server, **change), start), CitrixAdapter(AdapterOptions()),
            FileSender(folder / "sent", slow), watermark, Refusals(folder / "citrix_eu.rejects"), source="/citrix/eu",
        )  # fmt: skip
