"""The workers of this machine: those that answer, those that only sit there, and nobody else's."""

from __future__ import annotations

import fcntl
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.local.ports import LOOPBACK, free_port
from schemas.settings import Settings
from stream_jobs.status import workers
from stream_jobs.status.workers import read_workers

FACTS = {"ready": True, "stuck": False, "partitions": [1], "lag_records": 5, "seconds_since_progress": 1.0, "why": []}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.2)
    (tmp_path / "seats").mkdir()
    return Settings(home=tmp_path, metrics={"port": free_port()})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def seat(settings: Settings, stack: ExitStack, name: str = "g-0", *, taken: bool = True) -> None:
    lock = stack.enter_context((settings.home / "seats" / f"{name}.lock").open("w"))
    if taken:
        fcntl.flock(lock, fcntl.LOCK_EX)


def answers(settings: Settings, stack: ExitStack, facts: dict[str, Any]) -> None:
    """On the port of seat 0."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(facts).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = stack.enter_context(ThreadingHTTPServer((LOOPBACK, settings.metrics.port), Handler))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    stack.callback(server.shutdown)


def test_one_that_answers(settings: Settings, stack: ExitStack) -> None:
    seat(settings, stack)
    answers(settings, stack, {"group": "g", **FACTS})
    [found] = read_workers(settings, "g")
    assert (found.seat, found.ready, found.lag_records, found.partitions) == (0, True, 5, [1])


def test_a_frozen_one_is_shown(settings: Settings, stack: ExitStack) -> None:
    """Its port takes connections (the kernel does), and nobody answers."""
    seat(settings, stack)
    stack.enter_context(socket.create_server((LOOPBACK, settings.metrics.port)))
    [found] = read_workers(settings, "g")
    assert (found.ready, found.stuck) == (False, False)
    assert "does not answer" in found.why[0]


def test_a_seat_that_was_left_is_none(settings: Settings, stack: ExitStack) -> None:
    seat(settings, stack, taken=False)
    seat(settings, stack, "other-1")
    assert read_workers(settings, "g") == []


@pytest.mark.parametrize("taken", [True, False])
def test_another_installation_s_worker_is_not_ours(settings: Settings, stack: ExitStack, taken: bool) -> None:
    """It began with the same port; ours, if there is one, is not heard there."""
    seat(settings, stack, taken=taken)
    answers(settings, stack, {"group": "theirs", **FACTS, "stuck": True})
    assert [(found.stuck, found.partitions) for found in read_workers(settings, "g")] == [(False, [])] * taken
