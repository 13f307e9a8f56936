"""How the log reads at each place: what must be known before a batch is folded. Live workers and rebuilds ask here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from schemas.control import CONTROL_TYPE, ControlRecord, read_control
from schemas.quarantine import Refusal
from schemas.settings import Settings
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.catalogues import Catalogues
from stream_jobs.dedup.decode import content_type
from stream_jobs.dedup.fold import PlacedControl
from stream_jobs.dedup.places import Places
from stream_jobs.dedup.resolve import Resolver
from stream_jobs.dedup.sink import Sink


class Opening(NamedTuple):
    """What a Folder needs to know of a batch: what holds where it begins, and whom to ask from there on."""

    resolver_of: Callable[[int], Resolver]
    version: int
    close: int
    unknown: frozenset[ControlRecord]
    """Control records in it that name nothing stored."""


class Reading:
    """The control records and catalogue versions of one topic. Call `forget` after a rebalance."""

    def __init__(self, settings: Settings, client: Client, topic_id: str, cache: Cache, sink: Sink) -> None:
        self._settings, self._client, self._sink = settings, client, sink
        self._places = Places(client, topic_id)
        self.catalogues = Catalogues(client, settings, cache, sink)

    async def open(self, batch: Batch) -> Opening:
        """Raises RollcallError when the batch cannot be read; nothing of it may be stored then."""
        place = await self._sink.ask("reading control records", self._places.at, batch.partition.partition, batch.first)
        await self.catalogues.load(place.version)
        return Opening(self.catalogues.resolver, place.version, place.close, await self._unknown(batch))

    def passed(self, partition: int, controls: Iterable[PlacedControl]) -> None:
        """The partition's next batch is read in their light."""
        for control in controls:
            self._places.learn(partition, control.record.kind, control.record.number, control.offset)

    def forget(self) -> None:
        self._places.forget()

    async def _unknown(self, batch: Batch) -> frozenset[ControlRecord]:
        """Loads the catalogue versions that the batch speaks of; returns the control records to refuse."""
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
                    await self.catalogues.load(control.number, place)
                if not known:
                    unknown.add(control)
        return frozenset(unknown)

    def _begun(self, close: int) -> bool:
        """Whether a close took this number; it is stored before its control records are written."""
        found = self._client.query(
            "SELECT count() FROM close_numbers WHERE number = {n:UInt32}", parameters={"n": close}
        )
        return bool(found.result_rows[0][0])
