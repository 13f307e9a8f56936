"""Holds the group's committed offsets against what is stored, all the time, from outside of the worker.

Offsets first, rows then (`truth.lowest_unstored` says why). It also measures for how long a partition that has
records to be read stood still.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from kafka.errors import KafkaError

from infra.clickhouse.client import connect
from infra.errors import RollcallError
from infra.kafka.connection import admin_client, kafka_python_options
from schemas.settings import Settings
from tests.faults.truth import Log, lowest_unstored, stored

AWAY = (KafkaError, ClickHouseError, OSError, RollcallError)
"""A server is hurt just now: the look is left out."""


class Watcher:
    """`broken` lists every commit that was ahead: (partition, lowest event not stored, committed)."""

    def __init__(self, settings: Settings, log: Log, every: float = 0.4) -> None:
        self._settings, self._log, self._every = settings, log, every
        self._group = f"{settings.kafka.group}-g1"
        self._admin: Any = None
        self._client: Client | None = None
        self._ending = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._moved: dict[int, tuple[int, float]] = {}
        self.broken: list[tuple[int, int, int]] = []
        self.looks = 0
        self.longest_pause = 0.0
        self.lag: int | None = None
        self.last_error = ""
        self.fault: Exception | None = None
        """What its own looks ended with, other than that somebody was away."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(30)
        self._forget()

    def look(self) -> int:
        """One look; the records that no commit covers yet. Raises what AWAY lists."""
        with self._lock:
            try:
                committed = self.committed()
                ends = self._log.read_on()
                self._pause(committed, ends)
                self.broken += lowest_unstored(self._log, committed, lambda: stored(self._connected()))
            except AWAY as error:
                self.last_error = repr(error)
                self._forget()
                raise
            self.looks += 1
            self.lag = sum(max(0, end - committed.get(p, 0)) for p, end in ends.items())
            return self.lag

    def committed(self) -> dict[int, int]:
        """By partition, the offset that the group reads next."""
        with self._lock:
            if self._admin is None:
                self._context = admin_client(kafka_python_options(self._settings.kafka))
                self._admin = self._context.__enter__()
            found = self._admin.list_group_offsets({self._group: None})[self._group]
        return {tp.partition: offset.offset for tp, offset in found.items() if offset.offset >= 0}

    def reset_pause(self) -> None:
        with self._lock:
            self._moved.clear()
            self.longest_pause = 0.0

    def _pause(self, committed: dict[int, int], ends: dict[int, int]) -> None:
        now = time.monotonic()
        for partition, end in ends.items():
            at = committed.get(partition, 0)
            before, since = self._moved.get(partition, (-1, now))
            if at != before or at >= end:
                since = now
            self._moved[partition] = at, since
            self.longest_pause = max(self.longest_pause, now - since)

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            try:
                with suppress(*AWAY):
                    self.look()
            except Exception as error:  # looked at when the round ends
                self.fault = self.fault or error

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client

    def _forget(self) -> None:
        self._log.forget_connection()
        admin, self._admin, client, self._client = self._admin, None, self._client, None
        with suppress(Exception):
            if admin is not None:
                self._context.__exit__(None, None, None)
        with suppress(Exception):
            if client is not None:
                client.close()
