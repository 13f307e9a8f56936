"""Inserts blocks, each until ClickHouse acknowledges it (decision 6).

An insert is tried again with the same block for as long as a server's restart takes. Rows are joins, so an insert
that was applied although it seemed to fail does no harm. What no retry can cure is raised at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import stamina
from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import Retryable, explained
from schemas.settings import Settings
from stream_jobs.dedup.failpoints import reach
from stream_jobs.dedup.rows import Block

log = logging.getLogger("rollcall.worker")
T = TypeVar("T")


class Sink:
    """The way into ClickHouse. Use from one task: one insert at a time."""

    def __init__(
        self, client: Client, settings: Settings, retried: Callable[[str], None] = lambda _: None
    ) -> None:
        self._client, self._settings, self._retried = client, settings, retried
        self._contexts: dict[str, Any] = {}

    async def store(self, blocks: Iterable[Block]) -> None:
        """Inserts the blocks in order, each acknowledged before the next. Raises as `patiently` does.

        All in one thread at first: between two of them the event loop may be busy with the next batch's fold.
        """
        left = deque(blocks)
        with suppress(Retryable):
            await asyncio.to_thread(self._insert_all, left)
        failed = 1
        while left:
            insert = partial(asyncio.to_thread, self._insert, left[0])
            await self.patiently(f"inserting into {left[0].table}", insert, failed)
            left.popleft()
            failed = 0
            reach("between-inserts")

    async def ask(self, what: str, question: Callable[..., T], *arguments: Any) -> T:
        """The answer to a question that blocks, asked in a thread. Raises as `patiently` does."""

        def answer() -> T:
            with explained(self._settings.clickhouse):
                return question(*arguments)

        return await self.patiently(what, partial(asyncio.to_thread, answer))

    async def patiently(self, what: str, step: Callable[[], Awaitable[T]], failed: int = 0) -> T:
        """Takes a step until it succeeds; what it returned. It has `failed` so often before.

        Raises Retryable when the setting `worker.insert_retry_seconds` is over, any other RollcallError at once.
        """
        seconds = self._settings.worker.insert_retry_seconds
        async for attempt in stamina.retry_context(
            on=Retryable, attempts=None, timeout=seconds, wait_initial=0.2, wait_max=5.0
        ):
            tries = attempt.num + failed
            with attempt:
                if tries > 1:
                    self._retried(what)
                if tries == 2:
                    log.warning("%s failed; trying again for up to %.0f s", what, seconds, extra={"step": what})
                result = await step()
        if tries > 1:
            log.warning("%s succeeded at try %d", what, tries, extra={"step": what, "tries": tries})
        return result

    def _insert_all(self, left: deque[Block]) -> None:
        """Takes away what is stored. Raises as `_insert`."""
        while left:
            self._insert(left[0])
            left.popleft()
            reach("between-inserts")

    def _insert(self, block: Block) -> None:
        with explained(self._settings.clickhouse):
            context = self._contexts.get(block.table)
            if context is None:
                context = self._contexts[block.table] = self._client.create_insert_context(
                    block.table, block.names, column_oriented=True, settings={"max_partitions_per_insert_block": 0}
                )
            context.data = block.columns
            self._client.insert(context=context)
