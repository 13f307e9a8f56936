"""Folds a batch into the rows that it adds: the hot path.

Most events of a month repeat what is counted already, so the loop in `_take` asks one question of each: would it
change the stored row? Everything that is not plain (a packed array with a bad element, a control record, a replay, an
event that cannot be counted) leaves the loop for the careful way below it, which gives the same result.

Pure but for a stop-watch: values in, values out. Every column of a row is a join, so any order, repetition or cutting
of the same events gives the same rows in the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from time import perf_counter
from typing import NamedTuple

from schemas.control import CONTROL_TYPE, ControlRecord, read_control
from schemas.event import BATCH, STRUCTURED
from schemas.fast import Event, Login, PlainEvent
from schemas.quarantine import Origin, Refusal
from schemas.source_report import REPORT_TYPE, SourceReport, read_report
from stream_jobs.dedup.batch import Batch, Headers, Record
from stream_jobs.dedup.cache import Slot
from stream_jobs.dedup.decode import Item, content_type, read_carefully
from stream_jobs.dedup.links import Seen, seen
from stream_jobs.dedup.moment import OFFSETS, clock_at, hour_of, since_epoch
from stream_jobs.dedup.replay import Replay, read_replay
from stream_jobs.dedup.resolve import Cell, Place, Resolver

RUN = 128
"""Records of one event each that are checked at once; one odd record sends its run through one by one."""
_PLAIN = [("content-type", STRUCTURED)]
_PACKED = [("content-type", BATCH)]


class Row:
    """One row of `active_users` to be: the fold of a subject's events of one month, tenant and SKU."""

    __slots__ = ("days", "first", "recorded_in")

    def __init__(self, days: int, first: tuple[timedelta, str, str], recorded_in: int) -> None:
        self.days, self.first, self.recorded_in = days, first, recorded_in


class Refused(NamedTuple):
    """An event for the quarantine."""

    origin: Origin
    replay: int
    raw: bytes
    headers: Headers
    refusal: Refusal
    event: Event | None
    """The event where the contract accepts it and only catalogue or time refuse it."""
    append_ms: int


class PlacedControl(NamedTuple):
    record: ControlRecord
    offset: int
    append_ms: int


class PlacedReport(NamedTuple):
    report: SourceReport
    offset: int
    append_ms: int
    close: int
    """The greatest close number before it in its partition."""


class Delay(NamedTuple):
    """How long after it took place an event was appended; less than nothing where its source's clock is ahead."""

    source: str
    time: timedelta
    """Since the epoch."""
    append_ms: int


class Folded:
    """What a batch gives: rows by slot and spelled subject, and what else must be stored before its commit."""

    def __init__(self) -> None:
        self.rows: dict[Slot, dict[str, Row]] = {}
        self.refused: list[Refused] = []
        self.links: set[Seen] = set()
        """More names of the same people, where events gave them."""
        self.counted_replays: list[Replay] = []
        self.controls: list[PlacedControl] = []
        self.reports: list[PlacedReport] = []
        self.heard: defaultdict[str, dict[int, int]] = defaultdict(dict)
        """How many events counted, by source and by the clock hour (`moment`) they took place in; no replays."""
        self.added = 0
        """Events that may change a stored row; of all others the cache knew that they do not."""
        self.delays: list[Delay] = []
        """Of the first and last event of each run."""
        self.decode_seconds = 0.0
        """What of the fold's time the fast reader took."""

    def count(self, event: Login, hour: int) -> None:
        tally = self.heard[event.source]
        tally[hour] = tally.get(hour, 0) + 1

    def sample(self, event: Login, append_ms: int) -> None:
        self.delays.append(Delay(event.source, since_epoch(event.time), append_ms))

    def events(self) -> dict[str, int]:
        """Events that counted, by source, replays left out."""
        return {source: sum(hours.values()) for source, hours in self.heard.items()}

    def total(self) -> int:
        """Events that counted, replays too."""
        return sum(self.events().values()) + len(self.counted_replays)

    def add(self, slot: Slot, subject: str, days: int, first: tuple[timedelta, str, str], recorded_in: int) -> None:
        """Joins one event into its row."""
        self.added += 1
        rows = self.rows.get(slot)
        if rows is None:
            rows = self.rows[slot] = {}
        row = rows.get(subject)
        if row is None:
            rows[subject] = Row(days, first, recorded_in)
            return
        row.days |= days
        if first < row.first:
            row.first = first
        if recorded_in < row.recorded_in:
            row.recorded_in = recorded_in


class Folder:
    """Folds one batch, from the place in the log where it begins."""

    def __init__(
        self, topic_id: str, tolerance: float, resolver_of: Callable[[int], Resolver],
        version: int, close: int, unknown: frozenset[ControlRecord] = frozenset(),
    ) -> None:  # fmt: skip
        self._topic_id, self._resolver_of = topic_id, resolver_of
        self._tolerance = timedelta(seconds=tolerance)
        self._resolver, self._close = resolver_of(version), close
        self._unknown = unknown
        self._partition = -1
        self.folded = Folded()

    def fold(self, batch: Batch) -> Folded:
        self._partition = batch.partition.partition
        records = batch.records
        for start in range(0, len(records), RUN):
            self._run(records[start : start + RUN])
        return self.folded

    def _run(self, run: Sequence[Record]) -> None:
        """Up to RUN records: all at once where they are plain, else one by one."""
        headers = [record.headers for record in run]
        events = None
        if not any(headers) or headers.count(_PLAIN) == len(run):
            begun = perf_counter()
            events = self._resolver.reader.read_run([record.value or b"" for record in run])
            self.folded.decode_seconds += perf_counter() - begun
        if events is None:
            for record in run:
                self._record(record)
        else:
            left = self._take(events, self._horizon(min([record.timestamp for record in run])))
            for index in {0, len(run) - 1}.difference(left):
                self.folded.sample(events[index], run[index].timestamp)
            for index in left:
                self._record(run[index])

    def _take(self, events: Sequence[Login], horizon: timedelta) -> list[int]:
        """The hot loop: folds what is plain, and returns the indices of what is not."""
        left: list[int] = []
        cells, close, add, heard = self._resolver.cells, self._close, self.folded.add, self.folded.heard
        plain = isinstance(events[0], PlainEvent)  # all of them are, or none
        clock: object = ...
        tenant: object = None
        sku: object = None
        month: int | None = None
        cell: Cell | None = None
        slot: Slot | None = None
        for index, event in enumerate(events):
            data, time, subject = event.data, event.time, event.subject
            if time.tzinfo is not clock:
                clock, offset = time.tzinfo, OFFSETS[time.tzinfo]
                epoch, base = offset.epoch, offset.base
                last, minute = clock_at(horizon, offset)
            hour = base + time.toordinal() * 24 + time.hour
            if hour >= last and (hour > last or time.minute >= minute) and time - epoch > horizon:
                left.append(index)
                continue
            if data.sku is not sku or data.tenant is not tenant or not plain:  # neighbours mostly name the same
                tenant, sku, month = data.tenant, data.sku, None
                cell = cells.get((tenant, sku)) if plain else None
            if cell is None and (cell := self._cell(event)) is None:
                left.append(index)
                continue
            place = cell.hours.get(hour)
            if place is None and (place := self._place(cell, time - epoch, hour)) is None:
                left.append(index)
                continue
            its_month, bit, stamp = place
            if its_month != month:
                month, slot = its_month, cell.months.get(its_month)
            if slot is None:
                month = None  # the slot of this event alone: the SKU is not valid all month
                if (slot := self._slot(cell, its_month, time - epoch)) is None:
                    left.append(index)
                    continue
            known = slot.young.get(subject)
            if known is None or not known & bit or stamp <= known or close < slot.closed:
                add(slot, subject, bit, (time - epoch, event.source, event.id), close)
            tally = heard[event.source]
            tally[hour] = tally.get(hour, 0) + 1
        if not plain:
            gone = set(left)
            self.folded.links |= seen([e for index, e in enumerate(events) if index not in gone], self._resolver)
        return left

    def _cell(self, event: Login) -> Cell | None:
        with suppress(Refusal):
            return self._resolver.cell(event)
        return None

    def _place(self, cell: Cell, since: timedelta, hour: int) -> Place | None:
        with suppress(Refusal):
            return cell.zone.place(since, hour)
        return None

    def _slot(self, cell: Cell, month: int, since: timedelta) -> Slot | None:
        with suppress(Refusal):
            return cell.slot(month, since)
        return None

    def _record(self, record: Record) -> None:
        """One record, whatever it is."""
        headers = record.headers
        if headers and (kind := content_type(headers)) in (CONTROL_TYPE, REPORT_TYPE):
            (self._control if kind == CONTROL_TYPE else self._report)(record)
            return
        left: list[int] | None = None
        value = record.value
        if value and (not headers or headers == (_PACKED if value[:1] == b"[" else _PLAIN)):
            begun = perf_counter()
            events = self._resolver.reader.read_fast(value)
            self.folded.decode_seconds += perf_counter() - begun
            if events is not None:
                left = self._take(events, self._horizon(record.timestamp))
                for index in {0, len(events) - 1}.difference(left):
                    self.folded.sample(events[index], record.timestamp)
                if not left:
                    return
        self._carefully(record, left)

    def _carefully(self, record: Record, left: list[int] | None = None) -> None:
        """A record's events by the contract; all, or those `left` by the fast way."""
        headers = record.headers
        items = list(read_carefully(record.value, headers))
        replay = read_replay(headers)
        if replay and (len(items) > 1 or (replay.origin.place < 0 and all(item.place >= 0 for item in items))):
            # What was set aside as a whole can be read now. Its events stand for themselves, or a good one would hide
            # a bad one under the same origin.
            if replay.origin.place < 0:
                self.folded.counted_replays.append(replay)
            replay = None
        for item in items:
            if left is None or item.place in left:
                self._item(record, item, replay)

    def _item(self, record: Record, item: Item, replay: Replay | None) -> None:
        """One event of a record, by the contract: a row, or a refusal."""
        event = None
        try:
            if isinstance(item.event, Refusal):
                raise item.event
            event = item.event
            time = since_epoch(event.time)
            cell = self._resolver.cell(event)
            if time > self._horizon(record.timestamp):  # first: a calendar has no room for the year 9999
                raise Refusal("in_the_future", "the time lies beyond the append time by more than the tolerance")
            hour = hour_of(event.time)
            slot, bit = cell.place(time, hour)
        except Refusal as refusal:
            origin = Origin(self._topic_id, self._partition, record.offset, item.place)
            self.folded.refused.append(Refused(
                replay.origin if replay else origin, replay.number if replay else 0, item.raw, record.headers,
                refusal, event, record.timestamp,
            ))  # fmt: skip
            return
        self.folded.add(slot, event.subject, bit, (time, event.source, event.id), self._close)
        self.folded.links |= seen([event], self._resolver)
        if replay:
            self.folded.counted_replays.append(replay)
        else:
            self.folded.count(event, hour)
            self.folded.sample(event, record.timestamp)

    def _control(self, record: Record) -> None:
        """From here on the log reads otherwise."""
        try:
            control = read_control(record.value)
            if control in self._unknown:
                raise Refusal("bad_control", f"{control.kind} {control.number} is not stored")
        except Refusal as refusal:
            origin = Origin(self._topic_id, self._partition, record.offset, -1)
            self.folded.refused.append(
                Refused(origin, 0, record.value or b"", record.headers, refusal, None, record.timestamp)
            )
            return
        self.folded.controls.append(PlacedControl(control, record.offset, record.timestamp))
        if control.kind == "close":
            self._close = max(self._close, control.number)
        elif control.number > self._resolver.version:
            self._resolver = self._resolver_of(control.number)

    def _report(self, record: Record) -> None:
        """What a source says of itself; it changes no row."""
        try:
            report, horizon = read_report(record.value), self._horizon(record.timestamp)
            if any(said and since_epoch(said) > horizon for said in (report.at, report.complete_to, report.polled)):
                raise Refusal("bad_report", "a time lies beyond the append time by more than the tolerance")
        except Refusal as refusal:
            origin = Origin(self._topic_id, self._partition, record.offset, -1)
            self.folded.refused.append(
                Refused(origin, 0, record.value or b"", record.headers, refusal, None, record.timestamp)
            )
            return
        self.folded.reports.append(PlacedReport(report, record.offset, record.timestamp, self._close))

    def _horizon(self, append_ms: int) -> timedelta:
        return timedelta(milliseconds=append_ms) + self._tolerance
