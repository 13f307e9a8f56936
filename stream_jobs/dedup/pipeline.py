"""One batch from the log into the store: fold, then set aside, insert, learn (decision 6). What the agent calls.

A batch may be folded while the one before it is stored: the cache may only lag behind storage, never lead it.
"""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed
from infra.keyring import Keys
from infra.lost_offsets import LostOffsets, last_stored, store
from infra.pseudonyms import MonthlyPseudonyms
from schemas.calendar import EPOCH, moment_of
from schemas.settings import Settings
from stream_jobs.dedup import heard, rows
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.cap import Cap
from stream_jobs.dedup.erased import Erasures
from stream_jobs.dedup.failpoints import reach
from stream_jobs.dedup.fold import Folded, Folder
from stream_jobs.dedup.links import Known
from stream_jobs.dedup.meters import Meters
from stream_jobs.dedup.quarantine import Quarantine
from stream_jobs.dedup.reading import Reading
from stream_jobs.dedup.sink import Sink
from stream_jobs.dedup.trips import cap_sentence, read_lifts, store_trip


class Pipeline:
    """Folds batches, and stores them in the order of their folds.

    When `store` returns, everything that the batch adds is acknowledged, and it may be committed.
    """

    def __init__(
        self, settings: Settings, client: Client, topic_id: str, keys: Keys, table: str, meters: Meters
    ) -> None:
        self.topic_id, self.table, self.meters = topic_id, table, meters
        self.events = self.rows_written = self.refused = 0
        self._settings, self._client = settings, client
        self._cache = Cache(settings.worker.cache_entries)
        self._pseudonyms = MonthlyPseudonyms(keys)
        self._sink = Sink(client, settings, meters.retried)
        self._reading = Reading(settings, client, topic_id, self._cache, self._sink)
        self._erasures = Erasures(client, self._sink)
        self._heard, self._linked = heard.Heard(), Known()
        self._quarantine = Quarantine(settings)
        self._cap = Cap(settings.worker.quarantine_ratio, settings.worker.quarantine_sample)

    async def reassigned(self) -> None:
        """After a rebalance: others may have read on, or have tripped the cap. Raises CheckFailed then."""
        self._reading.forget()
        self._cap.lifts = await self._sink.ask("reading the caps", read_lifts, self._client, self._settings)

    async def fold(self, batch: Batch) -> Folded:
        """What the batch adds. Raises RollcallError when it cannot be read; nothing of it may be stored then."""
        with self.meters.timed("open"):
            opening = await self._reading.open(batch)
        with self.meters.timed("fold"):
            folded = Folder(self.topic_id, self._settings.worker.future_tolerance_seconds, *opening).fold(batch)
        self.meters.decoded(folded.decode_seconds)
        if trip := self._cap.judge(batch, folded):
            await self._sink.ask("storing the trip", store_trip, self._client, trip)
            raise CheckFailed(cap_sentence(trip, self._settings))
        self._reading.passed(batch.partition.partition, folded.controls)
        return folded

    async def store(self, batch: Batch, folded: Folded) -> None:
        """Raises RollcallError when the batch cannot be stored; it may not be committed then."""
        if folded.refused:
            with self.meters.timed("quarantine"):
                await self._sink.patiently("setting events aside", lambda: self._quarantine.set_aside(folded.refused))
            reach("set-aside")
        partition = batch.partition.partition
        erased = await self._erasures.known()
        with self.meters.timed("columns"):
            inserts = rows.blocks(folded, self.topic_id, partition, self._pseudonyms, self._cache, self.table, erased)
            links = self._linked.fresh(folded.links)
            inserts += rows.linked(links, self._pseudonyms, erased)
            fresh = self._heard.fresh(folded)
            inserts += [block for block in (heard.reports(folded.reports), heard.activity(fresh)) if len(block)]
        reach("before-insert")
        with self.meters.timed("insert"):
            await self._sink.store(inserts)
        reach("after-insert")
        with self.meters.timed("learn"):
            rows.learn(folded, self._cache)
            self._linked.learn(links)
            self._heard.learn(folded, fresh)
        written = sum(len(block) for block in inserts if block.table == self.table)
        self.meters.stored(batch, folded, written)
        self.events += folded.total()
        self.refused += len(folded.refused)
        self.rows_written += written

    async def store_lost(self, batch: Batch, expected: int, found: int) -> None:
        """Stores that offsets `expected` to `found` − 1 were gone unread; the batch is the first behind them."""
        partition = batch.partition.partition
        after = await self._sink.ask("reading the progress", last_stored, self._client, self.topic_id, partition)
        before = moment_of(batch.records[0].timestamp * 1000)
        lost = LostOffsets(self.topic_id, partition, expected, found, min(after or EPOCH, before), before)
        await self._sink.ask("storing what was lost", store, self._client, lost)
        self.meters.lost(found - expected)

    def cached(self) -> int:
        """Rows that the cache holds."""
        return len(self._cache)

    def ratios(self, most: int) -> dict[str, float]:
        """The bad shares of the worst sources, as the cap sees them."""
        return self._cap.ratios(most)

    async def stop(self) -> None:
        await self._quarantine.stop()
