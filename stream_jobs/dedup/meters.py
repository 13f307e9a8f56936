"""What a worker counts of its work: once a batch, never once an event."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from infra.metrics import definitions as metrics
from infra.metrics.instruments import Instruments
from infra.version import own_version
from schemas.settings import Settings
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.fold import Folded
from stream_jobs.dedup.health import Look, Verdict


class Meters:
    """The worker's metrics, by what happened. `now` is the time in epoch seconds."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._made = Instruments(metrics.WORKERS)
        self.registry = self._made.registry
        self._assignments = 0
        self._events_a_record = 1.0
        self._since: dict[int, float] = {}
        """By partition that is behind, the append time of its oldest record that is not stored, as last known."""

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measures a step of a batch (`STEP_SECONDS`), also one that fails."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._made.observe(metrics.STEP_SECONDS, time.perf_counter() - begun, step)

    def decoded(self, seconds: float) -> None:
        """Of a batch that is folded."""
        self._made.observe(metrics.STEP_SECONDS, seconds, "decode")

    def stored(self, batch: Batch, folded: Folded, rows: int) -> None:
        """A batch is stored, with so many rows of `active_users`."""
        made, records = self._made, len(batch.records)
        counted, quarantined = folded.total(), len(folded.refused)
        made.count(metrics.EVENTS, counted, "counted", "")
        for reason, events in Counter(each.refusal.reason for each in folded.refused).items():
            made.count(metrics.EVENTS, events, "quarantined", reason)
        made.count(metrics.RECORDS, records)
        made.count(metrics.ROWS_WRITTEN, rows)
        made.count(metrics.ROWS_SAVED, max(0, counted - rows))
        made.count(metrics.CACHE_HITS, counted - folded.added)
        made.observe(metrics.BATCH_RECORDS, records)
        made.observe(metrics.BATCH_EVENTS, counted + quarantined)
        self._events_a_record = max(1.0, (counted + quarantined) / records)
        # Two machines' clocks may differ.
        made.observe(metrics.FRESHNESS_SECONDS, max(0.0, self._now() - batch.records[0].timestamp / 1000))

    def retried(self, step: str) -> None:
        self._made.count(metrics.RETRIES, 1, step)

    def lost(self, records: int) -> None:
        self._made.count(metrics.LOST_RECORDS, records)

    def introduce(self, settings: Settings, generation: int, group: str, seat: str) -> None:
        """What stays as it is while the worker runs."""
        self._made.set(metrics.GENERATION, generation)
        self._made.set(metrics.CACHE_LIMIT, settings.worker.cache_entries)
        self._made.set(metrics.QUARANTINE_LIMIT, settings.worker.quarantine_ratio)
        self._made.inform(
            metrics.WORKER, {"version": own_version(), "group": group, "topic": settings.kafka.topic, "seat": seat}
        )

    def looked(
        self, looks: Iterable[Look], verdict: Verdict, still: float, assignments: int, cache_rows: int,
        ratios: Mapping[str, float],
    ) -> None:  # fmt: skip
        """How it stands: its partitions, its health, for how many seconds nothing has moved, how often partitions were
        assigned, its cache, and the bad shares of the worst sources."""
        made, now, looks = self._made, self._now(), list(looks)
        made.set(metrics.ASSIGNED, len(looks))
        made.set_all(metrics.LAG_RECORDS, {str(look.partition): look.lag for look in looks})
        made.set_all(
            metrics.LAG_EVENTS, {str(look.partition): look.lag * self._events_a_record for look in looks}
        )
        self._since = {look.partition: self._oldest(look, now) for look in looks if look.behind}
        made.set_all(
            metrics.LAG_SECONDS,
            {str(look.partition): max(0.0, now - self._since.get(look.partition, now)) for look in looks},
        )
        made.count(metrics.REBALANCES, assignments - self._assignments)
        self._assignments = assignments
        made.set(metrics.CACHE_ROWS, cache_rows)
        made.set_all(metrics.QUARANTINE_RATIO, ratios)
        made.set(metrics.READY, verdict.ready)
        made.set(metrics.STUCK, verdict.stuck)
        made.set(metrics.LAST_MOVE, now - still)


    def _oldest(self, look: Look, now: float) -> float:
        """The append time of the oldest record that is not stored. Of what is not in hand only is known that it is no
        older than what was, or for how long it has been waiting."""
        return look.oldest if look.oldest is not None else self._since.get(look.partition, now)
