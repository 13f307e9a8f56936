"""Everything that `rollcall status` shows, each part by itself: what cannot be read hides nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from infra.clickhouse.client import connect, explained
from infra.errors import RollcallError
from infra.generation import FIRST, in_force
from schemas.settings import Settings
from stream_jobs.status.log import LogState, read_log
from stream_jobs.status.reports import ReportDue, read_reports
from stream_jobs.status.store import StoreState, read_store
from stream_jobs.status.workers import WorkerHealth, read_workers

REPORTS_SECONDS = 60.0
"""How long what was read of the reports is shown: it changes by the hour, and reading it looks at whole months."""

RATE_SECONDS = 1.0
"""The least time that a rate is taken over."""

T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """A part that could not be read is the error that says why. `rates`: records a second that came in and that were
    committed, since the look before; None when the log was not read twice."""

    at: datetime
    log: LogState | RollcallError
    store: StoreState | RollcallError
    reports: list[ReportDue] | RollcallError
    workers: list[WorkerHealth]
    rates: tuple[float, float] | None


class Watcher:
    """Looks again and again. `now` is the time, aware."""

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings, self._now = settings, now
        self._last: LogState | None = None
        self._reports: tuple[float, list[ReportDue] | RollcallError] | None = None
        self._group = FIRST.group(settings.kafka)

    def look(self) -> Picture:
        store = self._part(self._read_store)
        if self._last is None:  # a rate takes two looks
            self._read_log()
        before = self._last
        if self._reports is None or time.monotonic() - self._reports[0] > REPORTS_SECONDS:
            self._reports = time.monotonic(), self._part(self._read_reports)
        workers = read_workers(self._settings, self._group)
        if before is not None:
            time.sleep(max(0.0, before.at + RATE_SECONDS - time.monotonic()))
        log = self._read_log()
        rates = log.rates(before) if before is not None and isinstance(log, LogState) else None
        return Picture(self._now(), log, store, self._reports[1], workers, rates)

    def _read_log(self) -> LogState | RollcallError:
        log = self._part(lambda: read_log(self._settings, self._group))
        self._last = log if isinstance(log, LogState) else None
        return log

    def _read_store(self) -> StoreState:
        with explained(self._settings.clickhouse), connect(self._settings) as client:
            self._group = in_force(client).group(self._settings.kafka)
            return read_store(client, self._now())

    def _read_reports(self) -> list[ReportDue]:
        with explained(self._settings.clickhouse), connect(self._settings) as client:
            return read_reports(self._settings, client, self._now())

    def _part(self, read: Callable[[], T]) -> T | RollcallError:
        try:
            return read()
        except RollcallError as error:
            return error
