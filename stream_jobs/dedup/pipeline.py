"""One batch from the log into the store: fold, then set aside, insert, learn (decision 6). What the agent calls.

A batch may be folded while the one before it is stored: the cache may only lag behind storage, never lead it.
"""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed
from schemas.control import CONTROL_TYPE, ControlRecord, read_control
from schemas.quarantine import Refusal
from schemas.settings import Settings
from stream_jobs.dedup import rows
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.cap import Cap
from stream_jobs.dedup.catalogues import Catalogues
from stream_jobs.dedup.decode import content_type
from stream_jobs.dedup.fold import Folded, Folder
from stream_jobs.dedup.places import Places
from stream_jobs.dedup.pseudonym import Pseudonyms
from stream_jobs.dedup.quarantine import Quarantine
from stream_jobs.dedup.sink import Sink
from stream_jobs.dedup.trips import cap_sentence, read_lifts, store_trip


class Pipeline:
    """Folds batches, and stores them in the order of their folds.

    When `store` returns, everything that the batch adds is acknowledged, and it may be committed.
    """

    def __init__(self, settings: Settings, client: Client, topic_id: str, key: bytes) -> None:
        self.topic_id = topic_id
        self.events = self.rows_written = self.refused = 0
        self._settings, self._client = settings, client
        self._cache = Cache(settings.worker.cache_entries)
        self._places = Places(client, topic_id)
        self._pseudonyms = Pseudonyms(key)
        self._sink = Sink(client, settings)
        self._catalogues = Catalogues(client, settings, self._cache, self._sink)
        self._quarantine = Quarantine(settings)
        self._cap = Cap(settings.worker.quarantine_ratio, settings.worker.quarantine_sample)

    async def reassigned(self) -> None:
        """After a rebalance: others may have read on, or have tripped the cap. Raises CheckFailed then."""
        self._places.forget()
        self._cap.lifts = await self._sink.ask("reading the caps", read_lifts, self._client, self._settings)

    async def fold(self, batch: Batch) -> Folded:
        """What the batch adds. Raises RollcallError when it cannot be read; nothing of it may be stored then."""
        partition = batch.partition.partition
        place = await self._sink.ask("reading control records", self._places.at, partition, batch.first)
        unknown = await self._prepare(batch, place.version)
        folder = Folder(
            self.topic_id, self._settings.worker.future_tolerance_seconds, self._catalogues.resolver,
            place.version, place.close, unknown,
        )  # fmt: skip
        folded = folder.fold(batch)
        if trip := self._cap.judge(batch, folded):
            await self._sink.ask("storing the trip", store_trip, self._client, trip)
            raise CheckFailed(cap_sentence(trip, self._settings))
        for control in folded.controls:  # the partition's next batch is read in their light
            self._places.learn(partition, control.record.kind, control.record.number, control.offset)
        return folded

    async def store(self, batch: Batch, folded: Folded) -> None:
        """Raises RollcallError when the batch cannot be stored; it may not be committed then."""
        if folded.refused:
            await self._sink.patiently("setting events aside", lambda: self._quarantine.set_aside(folded.refused))
        partition = batch.partition.partition
        inserts = rows.blocks(folded, self.topic_id, partition, self._pseudonyms, self._cache)
        await self._sink.store(inserts)
        rows.learn(folded, self._cache)
        self.events += folded.events.total() + len(folded.counted_replays)
        self.refused += len(folded.refused)
        self.rows_written += sum(len(block) for block in inserts if block.table == "active_users")

    async def stop(self) -> None:
        await self._quarantine.stop()

    async def _prepare(self, batch: Batch, version: int) -> frozenset[ControlRecord]:
        """Loads the catalogue versions that the batch speaks of; returns the control records to refuse."""
        await self._catalogues.load(version)
        unknown = set()
        for record in batch.records:
            if record.headers and content_type(record.headers) == CONTROL_TYPE:
                try:
                    control = read_control(record.value)
                except Refusal:
                    continue
                place = f"{batch.partition.partition}:{record.offset}"
                if control.kind == "close":
                    known = await self._sink.ask("reading the closes", self._begun, control.number)
                elif known := place not in self._settings.worker.refused_controls.split(","):
                    await self._catalogues.load(control.number, place)
                if not known:
                    unknown.add(control)
        return frozenset(unknown)

    def _begun(self, close: int) -> bool:
        """Whether a close took this number; it is stored before its control records are written."""
        found = self._client.query(
            "SELECT count() FROM close_numbers WHERE number = {n:UInt32}", parameters={"n": close}
        )
        return bool(found.result_rows[0][0])
