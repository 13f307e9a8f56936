"""Rollcall's own worker, as `rollcall worker --drain` runs it: validates, resolves, deduplicates and stores."""

from __future__ import annotations

from bench.contenders.measure import Stopwatch
from infra.clickhouse.client import connect
from schemas.settings import load_settings
from stream_jobs.dedup import job
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.pipeline import Pipeline


def main() -> None:
    settings, watch, events = load_settings(), Stopwatch(), 0
    store = Pipeline.store

    async def stopped(self: Pipeline, batch: Batch) -> None:
        nonlocal events
        watch.start()
        await store(self, batch)
        watch.lap()
        events = self.events

    Pipeline.store = stopped  # type: ignore[method-assign]
    job.tame_logging()
    job.run(settings, drain=True)
    with connect(settings) as client:
        users = client.query("SELECT uniqExact(month, tenant, sku, subject) FROM active_users").result_rows[0][0]
    watch.report(events, users)


if __name__ == "__main__":
    main()
