"""A worker that goes on running, events at a steady rate, and probes: events that tell when they became visible."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bench.events import PROBE, probe
from bench.stack import ROOT, environment
from infra.clickhouse.client import connect
from infra.errors import RollcallError
from infra.waiting import wait_until
from producers.client import LoginProducer
from schemas.settings import Settings

TICK = 0.01
PROBE_SECONDS = 0.05
_POLL_SECONDS = 0.02
_SEEN = f"SELECT first_event.id FROM active_users WHERE sku = '{PROBE}'"


@contextmanager
def live_worker(settings: Settings) -> Iterator[int]:
    """`rollcall worker` on these settings, by its pid; asked to end at the end. RuntimeError when it ended before."""
    log = settings.home / f"{settings.kafka.group}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "console.main", "worker"], cwd=ROOT, env=environment(settings),
            stdout=errors, stderr=errors,
        )  # fmt: skip
    try:
        yield process.pid
        if (code := process.poll()) is not None:
            raise RuntimeError(f"the worker ended with {code}: {log.read_text('utf-8', 'replace')[-300:]}")
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
        if process.poll() is None:
            process.kill()
            process.wait()


class Probes:
    """When each probe was given to the producer and when a query first answered with it, by `time.perf_counter`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.sent: dict[int, float] = {}
        self.seen: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Probes:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def send(self, producer: LoginProducer) -> None:
        number = len(self.sent)
        subject, event = probe(number)
        self.sent[number] = time.perf_counter()
        producer.send_bytes(event, subject)

    def wait(self, first: int, seconds: float) -> bool:
        """Whether the `first` probes became visible in time."""
        return wait_until(lambda: all(number in self.seen for number in range(first)), seconds)

    def delays(self, since: float) -> list[float]:
        """Seconds from sent to seen, of those that were sent at `since` or later."""
        return [self.seen[number] - sent for number, sent in self.sent.items() if sent >= since]

    def _watch(self) -> None:
        with connect(self._settings) as client:
            while not self._ended.wait(_POLL_SECONDS):
                with suppress(RollcallError):
                    found = client.query(_SEEN).result_rows
                    now = time.perf_counter()
                    for (number,) in found:
                        self.seen.setdefault(int(number), now)


class Source:
    """Sends a stream at `rate` events a second, and a probe now and then, from a thread of its own."""

    def __init__(self, settings: Settings, stream: Iterable[tuple[str, bytes]], rate: int, probes: Probes) -> None:
        self._settings, self._stream, self._rate, self._probes = settings, iter(stream), rate, probes
        self.subjects: set[str] = set()
        self.sent = 0
        self.error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Source:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """Returns when everything that was sent is acknowledged. Raises what the sending ended with."""
        self._ended.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            with LoginProducer(self._settings.kafka) as producer:
                begun, next_probe = time.perf_counter(), 0.0
                while not self._ended.wait(TICK):
                    elapsed = time.perf_counter() - begun
                    for _ in range(int(elapsed * self._rate) - self.sent):
                        subject, event = next(self._stream)
                        producer.send_bytes(event, subject)
                        self.subjects.add(subject)
                        self.sent += 1
                    if elapsed >= next_probe:
                        self._probes.send(producer)
                        next_probe = elapsed + PROBE_SECONDS
        except Exception as error:
            self.error = error
