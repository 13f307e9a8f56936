"""The cap on a source's bad share, so that a bad deployment cannot drain the topic into the quarantine (decision 10).

A trip is stored and stops every worker until `rollcall quarantine lift SOURCE`. What stood in the log when the lift
was given is let through; what comes after is judged anew. Replays do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.fold import Folded
from stream_jobs.dedup.rows import glimpse

WINDOW = 20
"""After so many samples' worth of events a source's tally is halved: old sins fade."""
MAX_SOURCES = 10_000


class Trip(NamedTuple):
    source: str
    events: int
    refused: int


class Cap:
    """Tallies events and refusals by source. `lifts`: for a source, the offset by partition up to which it may pass."""

    def __init__(self, ratio: float, sample: int, lifts: Mapping[str, Mapping[int, int]] | None = None) -> None:
        self._ratio, self._sample, self.lifts = ratio, sample, lifts or {}
        self._events: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def ratios(self, most: int) -> dict[str, float]:
        """The bad shares of the sources with the most refusals, of those that sent enough to be judged by."""
        worst = [each for each in self._refused.most_common() if self._events[each[0]] >= self._sample][:most]
        return {source: refused / self._events[source] for source, refused in worst}

    def judge(self, batch: Batch, folded: Folded) -> Trip | None:
        """Adds a batch to the tally; the worst source over the cap, if any."""
        partition = batch.partition.partition
        refused: Counter[str] = Counter()
        for each in folded.refused:
            source = glimpse(each)[0]
            if each.replay == 0 and each.origin.offset >= self.lifts.get(source, {}).get(partition, 0):
                refused[source] += 1
        self._refused += refused
        self._events.update(folded.events())
        self._events += refused
        over = [
            Trip(source, self._events[source], self._refused[source])
            for source in refused
            if self._events[source] >= self._sample and self._refused[source] > self._ratio * self._events[source]
        ]
        tripped = max(over, key=lambda trip: trip.refused / trip.events, default=None)
        if len(self._events) > MAX_SOURCES:  # invented names; the tally begins anew
            self._events.clear()
            self._refused.clear()
        for source, events in self._events.items():
            if events > WINDOW * self._sample:
                self._events[source] //= 2
                self._refused[source] //= 2
        return tripped
