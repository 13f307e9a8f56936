"""The fold of a rebuild: the live one, keeping one month's rows, and telling what it judges otherwise than before.

Nothing is read differently here: the records that matter (void rules, events that stood in the quarantine) take the
careful way, all others the fast one. Pure, like the fold that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from schemas.control import CONTROL_TYPE
from schemas.quarantine import Origin, Refusal
from schemas.source_report import REPORT_TYPE
from schemas.voids import Void
from stream_jobs.dedup.batch import Batch, Record
from stream_jobs.dedup.cache import Slot
from stream_jobs.dedup.decode import Item, content_type
from stream_jobs.dedup.fold import Folded, Folder, Refused
from stream_jobs.dedup.moment import hour_of, since_epoch
from stream_jobs.dedup.reading import Opening
from stream_jobs.dedup.replay import Replay
from stream_jobs.dedup.resolve import Resolver
from stream_jobs.dedup.rows import glimpse

Resolvers = Callable[[int], Resolver]
"""From the catalogue version that the log says to the one that judges."""


class Judgement(NamedTuple):
    """By what a month is read anew, and by what it was read before. Both follow the log where they are its own."""

    month: date
    new: Resolvers
    before: Resolvers
    voids: Sequence[Void] = ()
    watched: Mapping[int, Collection[int]] = {}
    """Offset and places of the partition's events that stand in the quarantine, not counted."""


class MonthFolded(Folded):
    """Keeps the rows of one month; events of others, and what is only counted otherwise, leave no trace."""

    def __init__(self, month: date) -> None:
        super().__init__()
        self.month = month
        self.kept = 0
        self.voided = 0
        self.counted: list[Origin] = []
        """Events that stood in the quarantine, and that the new reading counts in the month."""

    def add(self, slot: Slot, subject: str, days: int, first: tuple[timedelta, str, str], recorded_in: int) -> None:
        if slot.month == self.month:
            self.kept += 1
            super().add(slot, subject, days, first, recorded_in)


class MonthFolder(Folder):
    """Folds one batch of a rebuild. `refused` holds only what was counted in the month before, and is not any more."""

    folded: MonthFolded

    def __init__(self, topic_id: str, tolerance: float, opening: Opening, judgement: Judgement) -> None:
        new = opening._replace(resolver_of=judgement.new)
        super().__init__(topic_id, tolerance, *new)
        self.folded = MonthFolded(judgement.month)
        self._judgement = judgement
        self._log_version = opening.version
        self._before = judgement.before(opening.version)
        self._odd: frozenset[int] = frozenset()

    def fold(self, batch: Batch) -> Folded:
        watched, voids = self._judgement.watched, self._judgement.voids
        self._odd = frozenset(
            record.offset for record in batch.records
            if record.offset in watched or (voids and any(void.covers(record.timestamp) for void in voids))
        )  # fmt: skip
        return super().fold(batch)

    def _run(self, run: Sequence[Record]) -> None:
        if self._odd and any(record.offset in self._odd for record in run):
            for record in run:
                self._record(record)
        else:
            super()._run(run)

    def _record(self, record: Record) -> None:
        if record.offset in self._odd and content_type(record.headers) not in (CONTROL_TYPE, REPORT_TYPE):
            self._carefully(record)
        else:
            super()._record(record)

    def _item(self, record: Record, item: Item, replay: Replay | None) -> None:
        folded = self.folded
        kept, refused = folded.kept, len(folded.refused)
        if self._voided(record, item):
            folded.voided += 1
            return
        super()._item(record, item, replay)
        if len(folded.refused) > refused:
            if not self._counted_before(folded.refused[-1]):
                folded.refused.pop()
        elif folded.kept > kept and (replay or item.place in self._judgement.watched.get(record.offset, ())):
            own = Origin(self._topic_id, self._partition, record.offset, item.place)
            folded.counted.append(replay.origin if replay else own)

    def _control(self, record: Record) -> None:
        known, refused = len(self.folded.controls), len(self.folded.refused)
        super()._control(record)
        del self.folded.refused[refused:]  # it is no event of any month
        for placed in self.folded.controls[known:]:
            if placed.record.kind == "catalogue" and placed.record.number > self._log_version:
                self._log_version = placed.record.number
                self._before = self._judgement.before(self._log_version)

    def _report(self, record: Record) -> None:
        """It is of no month, and was stored when it was first read."""

    def _voided(self, record: Record, item: Item) -> bool:
        voids = [void for void in self._judgement.voids if void.covers(record.timestamp)]
        if not voids:
            return False
        if isinstance(item.event, Refusal):
            origin = Origin(self._topic_id, self._partition, record.offset, item.place)
            refused = Refused(origin, 0, item.raw, record.headers, item.event, None, record.timestamp)
            return glimpse(refused)[0] in {void.source for void in voids}
        return item.event.source in {void.source for void in voids}

    def _counted_before(self, refused: Refused) -> bool:
        """Whether the reading of before counts the event in the month."""
        event = refused.event
        if event is None:
            return False
        try:
            time = since_epoch(event.time)
            cell = self._before.cell(event)
            if time > self._horizon(refused.append_ms):
                return False
            return cell.place(time, hour_of(event.time))[0].month == self._judgement.month
        except Refusal:
            return False
