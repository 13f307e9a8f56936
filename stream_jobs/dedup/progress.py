"""How far the job has come, for dashboards (`ingest_lag`). No count depends on it, so a failure is only logged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from clickhouse_connect.driver.client import Client

from schemas.calendar import moment_of
from stream_jobs.dedup.batch import Batch

log = logging.getLogger("rollcall.worker")

EVERY_SECONDS, SAY_SECONDS = 2.0, 30.0


class Progress:
    """The newest stored batch of each partition, written now and then."""

    def __init__(self, client: Client, topic_id: str) -> None:
        self._client, self._topic_id = client, topic_id
        self._newest: dict[int, Batch] = {}

    def note(self, batch: Batch) -> None:
        self._newest[batch.partition.partition] = batch

    async def keep(self, stopped: Callable[[], bool]) -> None:
        """Stores what was noted every EVERY_SECONDS until stopped."""
        said = time.monotonic()
        while not stopped():
            await asyncio.sleep(EVERY_SECONDS)
            moved = self._newest
            await self.store()
            if moved and time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                behind = sum(max(0, batch.end_offset - batch.last - 1) for batch in moved.values())
                stored = {p: b.last for p, b in sorted(moved.items())}
                log.info("stored up to %s; records behind: %d", stored, behind, extra={"lag_records": behind})

    async def store(self) -> None:
        newest, self._newest = self._newest, {}
        if newest:
            try:
                await asyncio.to_thread(self._insert, newest)
            except Exception as error:
                log.warning("progress is not stored: %s", " ".join(str(error).split())[:200])

    def _insert(self, newest: dict[int, Batch]) -> None:
        self._client.insert(
            "ingest_progress",
            [self._row(partition, batch) for partition, batch in newest.items()],
            ("topic_id", "partition", "next_offset", "end_offset", "append_time"),
        )

    def _row(self, partition: int, batch: Batch) -> tuple[object, ...]:
        next_offset = batch.last + 1
        appended = moment_of(batch.records[-1].timestamp * 1000)
        return self._topic_id, partition, next_offset, max(batch.end_offset, next_offset), appended
