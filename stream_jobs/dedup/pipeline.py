"""One batch from the log into the store: fold, set aside, insert, learn (decision 6). What the Faust agent calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed
from schemas.control import CONTROL_TYPE, ControlRecord, read_control
from schemas.quarantine import Refusal
from schemas.settings import Settings
from stream_jobs.dedup import rows
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.cap import Cap, Trip
from stream_jobs.dedup.catalogues import Catalogues
from stream_jobs.dedup.fold import Folder
from stream_jobs.dedup.places import Places
from stream_jobs.dedup.pseudonym import Pseudonyms
from stream_jobs.dedup.quarantine import Quarantine
from stream_jobs.dedup.sink import Sink


class Pipeline:
    """Stores batches. When `store` returns, everything that the batch adds is acknowledged and it may be committed."""

    def __init__(
        self, settings: Settings, client: Client, topic_id: str, key: bytes, lifts: Mapping[str, Mapping[int, int]]
    ) -> None:
        self.topic_id = topic_id
        self.events = self.rows_written = self.refused = 0
        self._settings, self._client = settings, client
        self._cache = Cache(settings.worker.cache_entries)
        self._catalogues = Catalogues(client, settings, self._cache)
        self._places = Places(client, topic_id)
        self._pseudonyms = Pseudonyms(key)
        self._sink = Sink(client, settings)
        self._quarantine = Quarantine(settings)
        self._cap = Cap(settings.worker.quarantine_ratio, settings.worker.quarantine_sample, lifts)

    def reassigned(self) -> None:
        """After a rebalance: others may have read on."""
        self._places.forget()

    async def store(self, batch: Batch) -> None:
        """Raises RollcallError when the batch cannot be stored; nothing may be committed then."""
        partition = batch.partition.partition
        with explained(self._settings.clickhouse):
            place = await asyncio.to_thread(self._places.at, partition, batch.first)
        unknown = await self._prepare(batch, place.version)
        folder = Folder(
            self.topic_id, self._settings.worker.future_tolerance_seconds, self._catalogues.resolver,
            place.version, place.close, unknown,
        )  # fmt: skip
        folded = folder.fold(batch)
        if trip := self._cap.judge(batch, folded):
            self._tripped(trip)
        if folded.refused:
            await self._sink.patiently("setting events aside", lambda: self._quarantine.set_aside(folded.refused))
        inserts = rows.blocks(folded, self.topic_id, partition, self._pseudonyms, self._cache)
        await self._sink.store(inserts)
        rows.learn(folded, self._cache)
        for control in folded.controls:
            self._places.learn(partition, control.record.kind, control.record.number, control.offset)
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
            if record.headers and any(value == CONTROL_TYPE for _, value in record.headers):
                try:
                    control = read_control(record.value)
                except Refusal:
                    continue
                if control.kind == "catalogue":
                    await self._catalogues.load(control.number)
                elif not await asyncio.to_thread(self._begun, control.number):
                    unknown.add(control)
        return frozenset(unknown)

    def _begun(self, close: int) -> bool:
        """Whether a close took this number; it is stored before its control records are written."""
        with explained(self._settings.clickhouse):
            found = self._client.query(
                "SELECT count() FROM close_numbers WHERE number = {n:UInt32}", parameters={"n": close}
            )
        return bool(found.result_rows[0][0])

    def _tripped(self, trip: Trip) -> None:
        """Stores the trip, which stops every worker, and raises CheckFailed. Nothing of the batch is stored."""
        with explained(self._settings.clickhouse):
            self._client.command(
                "INSERT INTO quarantine_caps (source, number, action, events, refused) "
                "SELECT {s:String}, coalesce(max(number), 0) + 1, 'trip', {e:UInt64}, {r:UInt64} "
                "FROM quarantine_caps WHERE source = {s:String}",
                parameters={"s": trip.source, "e": trip.events, "r": trip.refused},
            )
        raise CheckFailed(cap_sentence(trip, self._settings))


def cap_sentence(trip: Trip, settings: Settings) -> str:
    return (
        f"{trip.refused} of {trip.events} events of source {trip.source!r} would go to the quarantine, more than "
        f"{settings.worker.quarantine_ratio:.0%}: nothing of them is stored and no worker goes on. See what it sends "
        f"(`rollcall quarantine list` has what was set aside before), mend the source or the catalogue, then "
        f"`rollcall quarantine lift {trip.source!r}` lets pass what is in the log now, and start the worker again"
    )
