"""Changing the past (decision 8b): one month read again into a table of its own, to be shown, or accepted."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import date, datetime
from itertools import pairwise

from infra.catalogue import stored_text
from infra.clickhouse.client import explained
from infra.errors import CheckFailed, ConfigurationError
from infra.generation import Generation, of_month
from infra.pseudonyms import MonthlyPseudonyms
from schemas.calendar import month_name
from schemas.quarantine import Origin
from schemas.settings import Settings
from schemas.voids import Void, joined, stored_voids
from stream_jobs.dedup import rebuild_table as tables
from stream_jobs.dedup import rows
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.erased import Erasures
from stream_jobs.dedup.ground import Ground, find_ground
from stream_jobs.dedup.places import Places
from stream_jobs.dedup.reading import Reading
from stream_jobs.dedup.rebuild_accept import Tally, Tell, Trial
from stream_jobs.dedup.rebuild_fold import Judgement, MonthFolder, Resolvers
from stream_jobs.dedup.rebuild_log import Extent, batches, extent, offsets_since, refuse_short
from stream_jobs.dedup.rebuild_quarantine import Standing, standing, watched
from stream_jobs.dedup.sink import Sink

AS_THE_LOG_SAYS = 0
"""In place of a catalogue version: each event by the version that holds where it stands."""
MAX_REFUSED = 200_000
TELL_SECONDS = 10.0


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
    cache, sink = Cache(settings.worker.cache_entries), Sink(client, settings)
    pseudonyms, erasures = MonthlyPseudonyms(ground.keys), Erasures(client, sink)
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
                found = rows.people(folded, pseudonyms, cache, target.table, await erasures.known())
                await sink.store(block for block in found if len(block))
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
