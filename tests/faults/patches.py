"""What is changed in a worker on purpose, in its own process, before it starts.

`commit_first`, `done_first`, `learn_first` and `aside_in_name` break a rule that the counts stand on: the suite must
find it (`test_it_can_fail.py`). `dynamic` is no fault: membership of the consumer group without a seat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from infra.clickhouse.client import Retryable
from stream_jobs.dedup import job, rows
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.commits import Ledger
from stream_jobs.dedup.fold import Folded, Refused
from stream_jobs.dedup.pipeline import Pipeline
from stream_jobs.dedup.quarantine import Quarantine
from stream_jobs.dedup.sink import Sink


def commit_first() -> None:
    """The commit rule broken: a batch may be committed as soon as it is delivered, before its rows are stored."""
    enter = Ledger.enter

    def entered(self: Ledger, batch: Batch) -> None:
        enter(self, batch)
        self._committable[batch.partition] = batch.last + 1

    Ledger.enter = entered  # type: ignore[method-assign]


def done_first() -> None:
    """The acknowledgement order broken: a batch is done while its insert is still under way."""
    store, under_way = Pipeline.store, set[asyncio.Task[None]]()

    async def stored(self: Pipeline, batch: Batch, folded: Folded) -> None:
        under_way.add(asyncio.create_task(store(self, batch, folded)))

    Pipeline.store = stored  # type: ignore[method-assign]


def learn_first() -> None:
    """The cache runs ahead of the store, as peers' do: it learns before the insert, and a batch whose insert failed is
    folded again by the same process."""
    store = Pipeline.store

    async def stored(self: Pipeline, batch: Batch, folded: Folded) -> None:
        rows.learn(folded, self._cache)
        try:
            await store(self, batch, folded)
        except Retryable:
            await stored(self, batch, await self.fold(batch))

    async def once(self: Sink, what: str, step: Any, failed: int = 0) -> Any:
        return await step()

    Pipeline.store = stored  # type: ignore[method-assign]
    Sink.patiently = once  # type: ignore[method-assign]


def aside_in_name() -> None:
    """Events are set aside in the table, and their bytes nowhere."""

    async def nothing(self: Quarantine, refused: Iterable[Refused]) -> None: ...

    Quarantine.set_aside = nothing  # type: ignore[method-assign]


def dynamic() -> None:
    """A member without an instance id: the group knows it by its session alone."""
    make_app = job.make_app

    def made(*arguments: Any, **named: Any) -> Any:
        app = make_app(*arguments, **named)
        app.conf.consumer_group_instance_id = None
        return app

    job.make_app = made
    job.give_up_seat = lambda *_: None
