"""Checks of the counting itself: workers, lag, caps, losses, and how far a rebuild reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed
from infra.generation import in_force
from infra.lost_offsets import lost_offsets
from schemas.calendar import month_name
from schemas.settings import Settings
from stream_jobs.dedup.rebuild_log import extent, refuse_short
from stream_jobs.doctor.finding import Said, State
from stream_jobs.quarantine.caps import tripped
from stream_jobs.status.log import read_log
from stream_jobs.status.reports import read_reports
from stream_jobs.status.store import read_quarantine
from stream_jobs.status.workers import read_workers

MANY = 100_000
"""Records behind that are worth a look though workers run."""


class CountingChecks:
    """`client` gives ClickHouse's client."""

    def __init__(self, settings: Settings, client: Callable[[], Client]) -> None:
        self._settings, self._client = settings, client

    def workers(self) -> Iterator[Said]:
        with explained(self._settings.clickhouse):
            group = in_force(self._client()).group(self._settings.kafka)
        log = read_log(self._settings, group)
        behind = sum(log.lag.values())
        if not log.members:
            cure = "start one: `rollcall worker`"
            yield State.mend, f"no worker is in group {group}; {behind:,} records are not stored", cure
        elif behind > MANY:
            yield State.watch, f"{behind:,} records are behind, {log.members} workers", "see whether it falls: `status`"
        else:
            yield State.ok, f"{log.members} workers in group {group}; {behind:,} records behind"
        for worker in read_workers(self._settings, group):
            if worker.stuck or not worker.ready:
                cure = "see its log, and whether Kafka and ClickHouse answer; it ends itself when it hangs for too long"
                yield State.mend, f"the worker of seat {worker.seat} is not well: {'; '.join(worker.why)}", cure

    def quarantine(self) -> Iterator[Said]:
        with explained(self._settings.clickhouse):
            trips, waiting = tripped(self._client()), sum(row.events for row in read_quarantine(self._client()))
        for trip in trips:
            yield (
                State.mend, f"source {trip.source!r} has stopped the workers: {trip.refused:,} of {trip.events:,} "
                "events were bad", f"mend it, then `rollcall quarantine lift {trip.source!r}`",
            )  # fmt: skip
        if waiting:
            yield State.watch, f"{waiting:,} events wait in the quarantine", "rollcall quarantine list"
        elif not trips:
            yield State.ok, "nothing waits in the quarantine, and no source tripped the cap"

    def losses(self) -> Iterator[Said]:
        with explained(self._settings.clickhouse):
            lost = lost_offsets(self._client())
        for each in lost:
            yield (
                State.watch, f"partition {each.partition}: offsets {each.expected} to {each.found - 1} left the log "
                "unread", "a finding of the months it may concern; keep the log longer than workers may rest",
            )  # fmt: skip
        if not lost:
            yield State.ok, "no record left the log unread"

    def reach(self) -> Iterator[Said]:
        """Whether the log still has all of this month and of those whose reports are owed."""
        now, client = datetime.now(UTC), self._client()
        with explained(self._settings.clickhouse):
            owed = {report.month for report in read_reports(self._settings, client, now) if report.days is not None}
            generation = in_force(client)
        read = extent(self._settings, generation)
        short = 0
        for month in sorted({now.date().replace(day=1), *owed}):
            try:
                refuse_short(self._settings, client, month, read)
            except CheckFailed as error:
                short += 1
                yield State.watch, f"{error}", "nothing brings it back; raise the retention for the months to come"
        if not short:
            yield State.ok, f"this month{' and all that are owed' if owed else ''} can be rebuilt from the log"

    def reports(self) -> Iterator[Said]:
        with explained(self._settings.clickhouse):
            found = read_reports(self._settings, self._client(), datetime.now(UTC))
        for report in found:
            name = f"{month_name(report.month)} of {report.agreement}"
            if report.days is not None and report.days < 0:
                cure = f"rollcall report show {month_name(report.month)}"
                yield State.mend, f"{name} was due on {report.due} and is {report.state}: {report.waits_for}", cure
            elif report.days is not None and report.days <= 2:
                yield State.watch, f"{name} is due on {report.due} and is {report.state}", report.waits_for
        if not any(report.days is not None and report.days <= 2 for report in found):
            yield State.ok, f"{len(found)} reports are owed, none within two days"
