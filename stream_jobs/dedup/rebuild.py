"""Changing the past (decision 8b): one month of the log read again into a table of its own, shown, then put in force.

A rebuild may be killed anywhere and run again. Until its one row in `generations` is stored, nothing that counts has
changed, and the next one drops what it left; from then on it is in force, and running it again completes the rest.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise

from infra.catalogue import stored_text
from infra.clickhouse import access
from infra.clickhouse.client import explained
from infra.clickhouse.migrate import apply_views
from infra.errors import CheckFailed, ConfigurationError
from infra.generation import Generation, in_force, of_month, put_in_force
from infra.kafka.connection import admin_client, kafka_python_options
from schemas.calendar import month_name
from schemas.quarantine import Origin
from schemas.settings import Settings
from schemas.voids import Void, joined, stored_voids
from stream_jobs.dedup import rebuild_table as tables
from stream_jobs.dedup import rows
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.fold import Refused
from stream_jobs.dedup.ground import Ground, find_ground
from stream_jobs.dedup.places import Places
from stream_jobs.dedup.pseudonym import Pseudonyms
from stream_jobs.dedup.quarantine import Quarantine
from stream_jobs.dedup.reading import Reading
from stream_jobs.dedup.rebuild_fold import Judgement, MonthFolder, Resolvers
from stream_jobs.dedup.rebuild_log import (
    Extent,
    batches,
    commit_offsets,
    committed_offsets,
    extent,
    offsets_since,
    refuse_short,
)
from stream_jobs.dedup.rebuild_quarantine import Standing, standing, to_count, to_set_aside, watched
from stream_jobs.dedup.sink import Sink

Tell = Callable[[str], None]

AS_THE_LOG_SAYS = 0
"""In place of a catalogue version: each event by the version that holds where it stands."""
MAX_REFUSED = 200_000
TELL_SECONDS = 10.0


@dataclass
class Tally:
    """What the reading came upon."""

    records: int = 0
    voided: int = 0
    counted: list[Origin] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


class Trial:
    """A month, read again into `table`, which counts for nothing until `accept`."""

    def __init__(
        self, settings: Settings, ground: Ground, target: Generation, part: Extent, tally: Tally,
        known: Mapping[Origin, Standing], tell: Tell,
    ) -> None:  # fmt: skip
        self._settings, self._ground, self._part, self._tell = settings, ground, part, tell
        self.generation = target
        """What it would put in force; reason and actor are still to be said."""
        self.to_count = to_count(tally.counted, known)
        self.to_set_aside = to_set_aside(tally.refused, known)
        self.voided, self.records = tally.voided, tally.records
        self.behind = part.behind
        self.tried = False
        """Whether it was tried to put it in force: who knows if that was done may not drop the table."""

    @property
    def month(self) -> date:
        assert self.generation.month is not None
        return self.generation.month

    @property
    def table(self) -> str:
        return self.generation.table

    def accept(self, reason: str, actor: str) -> Generation:
        """Puts it in force; returns the generation that is, which is the old one where both hold the same.

        Raises CheckFailed when another rebuild was accepted meanwhile: nothing was changed then.
        """
        settings, client, old = self._settings, self._ground.client, self._ground.generation
        new = Generation(**{**vars(self.generation), "reason": reason, "actor": actor})
        with explained(settings.clickhouse):
            self._refuse_overtaken()
            stands = of_month(client, self.month)
            repeated = (stands.catalogue_version, stands.voids) == (new.catalogue_version, new.voids)
            if repeated and tables.same(client, old.table, new.table, self.month):
                self._complete()
                return old
            months = tables.take_over(client, settings, old.table, new.table, self.month)
            self._tell(f"{new.table} has taken over {months} other months of {old.table}")
        asyncio.run(self._set_aside())
        group = new.group(settings.kafka)
        commit_offsets(settings, group, new.offsets)
        with explained(settings.clickhouse):
            self._refuse_overtaken()
            self.tried = True
            if not put_in_force(client, new):
                self.tried = False
                raise CheckFailed(_OVERTAKEN)
        self._tell(f"generation {new.number} is in force since now: workers end themselves (exit code 70) and, started "
                   f"again, read on in group {group}")  # fmt: skip
        with admin_client(kafka_python_options(settings.kafka)) as admin:
            committed = committed_offsets(admin, group, settings.kafka.topic)
        if any(committed.get(p, 0) > at for p, at in new.offsets.items()):  # another one's, which lost
            commit_offsets(settings, group, new.offsets)
        with explained(settings.clickhouse):
            self._complete()
        return new

    def _refuse_overtaken(self) -> None:
        if in_force(self._ground.client).number != self._ground.generation.number:
            raise CheckFailed(_OVERTAKEN)

    async def _set_aside(self) -> None:
        """Before it is in force: what is counted and in the quarantine as well is seen twice, never lost."""
        if self.to_set_aside:
            quarantine, sink = Quarantine(self._settings), Sink(self._ground.client, self._settings)
            try:
                await quarantine.set_aside(self.to_set_aside)
                await sink.store([rows.refused(self.to_set_aside)])
            finally:
                await quarantine.stop()

    def _complete(self) -> None:
        """What follows from the row that puts it in force."""
        client, settings = self._ground.client, self._settings
        apply_views(client, settings.clickhouse)
        access.grant(settings, client, lambda _: None)
        if self.to_count:
            asyncio.run(Sink(client, settings).store([rows.counted(self.to_count)]))


_OVERTAKEN = "another rebuild was accepted meanwhile: nothing of this one was put in force; rebuild again"


@contextmanager
def trial(
    settings: Settings, month: date, *, catalogue: int | None = None, voids: Sequence[Void] = (), now: datetime,
    tell: Tell,
) -> Iterator[Trial]:  # fmt: skip
    """Reads the month again, from the log's start to what the dedup job has committed; the table is gone afterwards.

    `catalogue` is the version that judges the month, or AS_THE_LOG_SAYS; None reads it as it is read now. `voids` are
    added to those that were accepted for the month before. `now` is only held against what is to come.

    Raises ConfigurationError for a version or an interval that cannot be, CheckFailed when the log does not reach back
    far enough (decision 12) or the dedup job is not there yet, OutOfReach.
    """
    with tables.alone(settings.home):
        ground = find_ground(settings)
        client = ground.client
        with explained(settings.clickhouse):
            tables.drop_leftovers(client, settings, tell)
            stands = of_month(client, month)
        part = extent(settings, ground.generation)
        refuse_short(settings, client, month, part)
        with explained(settings.clickhouse):
            version, until = _judged_by(settings, ground, part, stands, catalogue)
        _refuse_unread(settings, part, voids, now)
        target = Generation(
            number=ground.generation.number + 1, table=tables.name_of(ground.generation.number + 1, settings.home),
            month=month, catalogue_version=version, catalogue_until=until,
            voids=joined(stored_voids(stands.voids), voids), topic_id=part.topic_id, offsets=dict(part.ends),
        )  # fmt: skip
        made: Trial | None = None
        try:
            with explained(settings.clickhouse):
                known = standing(client, month)
                tables.make(client, settings, target.table)
            tally = asyncio.run(_read(settings, ground, target, stands, part, known, tell))
            made = Trial(settings, ground, target, part, tally, known, tell)
            yield made
        finally:
            if made is None or not made.tried:
                with explained(settings.clickhouse):
                    tables.drop(client, settings, target.table)


def _judged_by(
    settings: Settings, ground: Ground, part: Extent, stands: Generation, catalogue: int | None
) -> tuple[int, dict[int, int]]:
    """The version that judges the month, and up to which offsets."""
    if catalogue is None:
        return stands.catalogue_version, dict(stands.catalogue_until)
    if catalogue == AS_THE_LOG_SAYS:
        return AS_THE_LOG_SAYS, {}
    if stored_text(ground.client, catalogue) is None:
        raise ConfigurationError(
            f"catalogue version {catalogue} is not stored: `rollcall catalogue history` lists those that are, "
            f"`rollcall catalogue apply FILE` stores the next"
        )
    places = Places(ground.client, part.topic_id)
    for p, end in part.ends.items():
        if places.at(p, end).version < catalogue:
            raise CheckFailed(
                f"the dedup job has not come to catalogue version {catalogue} in partition {p} of "
                f"{settings.kafka.topic}, so logins of the month may still come in by an older one: run `rollcall "
                f"worker --drain`, then rebuild again"
            )
    return catalogue, dict(part.ends)


def _refuse_unread(settings: Settings, part: Extent, voids: Sequence[Void], now: datetime) -> None:
    """A void rule acts on what a rebuild reads; what came in later would be counted."""
    for void in voids:
        if void.end > now:
            raise ConfigurationError(f"the void rule of {void.source} ends at {void.end:%Y-%m-%d %H:%M:%S}Z, which is "
                                     f"to come: rebuild after that")  # fmt: skip
        since = offsets_since(settings, len(part.ends), void.end_ms)
        if behind := [p for p, offset in since.items() if part.ends.get(p, 0) < offset]:
            raise CheckFailed(
                f"the dedup job has not read to the end of the void rule of {void.source} in partition {behind[0]}: "
                f"run `rollcall worker --drain`, then rebuild again"
            )


async def _read(
    settings: Settings, ground: Ground, target: Generation, stands: Generation, part: Extent,
    known: Mapping[Origin, Standing], tell: Tell,
) -> Tally:  # fmt: skip
    """Folds the extent into the target's table."""
    assert target.month is not None
    client, tolerance = ground.client, settings.worker.future_tolerance_seconds
    cache, sink, pseudonyms = Cache(settings.worker.cache_entries), Sink(client, settings), Pseudonyms(ground.key)
    reading = Reading(settings, client, part.topic_id, cache, sink)
    for version in {target.catalogue_version, stands.catalogue_version} - {AS_THE_LOG_SAYS}:
        await reading.catalogues.load(version)
    apart, voids = watched(known, part.topic_id), stored_voids(target.voids)
    total = sum(part.ends[p] - part.starts[p] for p in part.ends)
    tally, told = Tally(), time.monotonic()

    def judges(generation: Generation, batch: Batch) -> Resolvers:
        if batch.last < generation.catalogue_until.get(batch.partition.partition, 0):
            return lambda _: reading.catalogues.resolver(generation.catalogue_version)
        return reading.catalogues.resolver

    async with aclosing(batches(settings, part)) as log:
        async for fetched in log:
            partition = fetched.partition.partition
            borders = [generation.catalogue_until.get(partition, 0) for generation in (target, stands)]
            for batch in cut(fetched, borders):
                judgement = Judgement(
                    target.month, judges(target, batch), judges(stands, batch), voids, apart.get(partition, {})
                )
                folder = MonthFolder(part.topic_id, tolerance, await reading.open(batch), judgement)
                folder.fold(batch)
                folded = folder.folded
                reading.passed(partition, folded.controls)
                await sink.store(b for b in rows.people(folded, pseudonyms, cache, target.table) if len(b))
                rows.learn(folded, cache)
                tally.counted += folded.counted
                tally.refused += folded.refused
                tally.voided += folded.voided
            tally.records += len(fetched.records)
            if len(tally.refused) > MAX_REFUSED:
                raise CheckFailed(
                    f"more than {MAX_REFUSED:,} logins that are counted in {month_name(target.month)} would go to the "
                    f"quarantine, the first with {tally.refused[0].refusal}: mend the catalogue, `rollcall catalogue "
                    f"apply` it, and rebuild by that version"
                )
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                tell(f"read {tally.records:,} of {total:,} records")
    return tally


def cut(batch: Batch, borders: Sequence[int]) -> list[Batch]:
    """The batch in pieces, none of which reaches over one of the offsets."""
    offsets = [record.offset for record in batch.records]
    at = sorted({0, len(offsets), *(bisect_left(offsets, border) for border in borders)})
    return [
        Batch(batch.partition, batch.records[begin:end], batch.end_offset)
        for begin, end in pairwise(at)
    ]
