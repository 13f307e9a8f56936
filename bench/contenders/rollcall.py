"""Rollcall's own worker, as `rollcall worker --drain` runs it: validates, resolves, deduplicates and stores."""

from __future__ import annotations

import os

from bench.contenders.measure import Stopwatch, peak_mb
from infra.clickhouse.client import connect
from schemas.settings import load_settings
from stream_jobs.dedup import job
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.fold import Folded
from stream_jobs.dedup.pipeline import Pipeline


def main() -> None:
    settings, watch, events = load_settings(), Stopwatch(), 0
    written = 0
    fold, store = Pipeline.fold, Pipeline.store

    async def started(self: Pipeline, batch: Batch) -> Folded:
        watch.start()
        return await fold(self, batch)

    async def stopped(self: Pipeline, batch: Batch, folded: Folded) -> None:
        nonlocal events, written
        await store(self, batch, folded)
        watch.lap()
        events, written = self.events, self.rows_written

    Pipeline.fold, Pipeline.store = started, stopped  # type: ignore[method-assign]
    job.tame_logging(settings.log)
    job.run(settings, drain=True)
    with connect(settings) as client:
        users = client.query("SELECT uniqExact(month, tenant, sku, subject) FROM active_users").result_rows[0][0]
    watch.report(events, users, rows=written, peak_mb=peak_mb(os.getpid()))


if __name__ == "__main__":
    main()
