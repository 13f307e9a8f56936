"""A rebuild put in force: the table completed with the other months, then one row, then what follows from it.

It may be killed anywhere and run again. Until its row in `generations` is stored, nothing that counts has changed, and
the next rebuild drops what it left; from then on it is in force, and running it again completes the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from infra.clickhouse import access
from infra.clickhouse.client import explained
from infra.clickhouse.migrate import apply_views
from infra.errors import CheckFailed
from infra.generation import Generation, in_force, of_month, put_in_force
from infra.kafka.connection import admin_client, kafka_python_options
from schemas.quarantine import Origin
from schemas.settings import Settings
from stream_jobs.dedup import rebuild_table as tables
from stream_jobs.dedup import rows
from stream_jobs.dedup.fold import Refused
from stream_jobs.dedup.ground import Ground
from stream_jobs.dedup.quarantine import Quarantine
from stream_jobs.dedup.rebuild_log import Extent, commit_offsets, committed_offsets
from stream_jobs.dedup.rebuild_quarantine import Standing, to_count, to_set_aside
from stream_jobs.dedup.sink import Sink

Tell = Callable[[str], None]

_OVERTAKEN = "another rebuild was accepted meanwhile: nothing of this one was put in force; rebuild again"


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
        new = replace(self.generation, reason=reason, actor=actor)
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
