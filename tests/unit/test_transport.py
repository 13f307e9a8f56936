"""What is fetched while a rebalance goes on: it never enters the ledger of the assignment behind it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.transport.drivers import aiokafka as driver

from stream_jobs.dedup.batch import Partition
from stream_jobs.dedup.transport import BatchConsumer

TP, HERE = faust.types.TP("t", 0), Partition("t", 0)


def records(first: int, end: int) -> list[Any]:
    return [SimpleNamespace(offset=n, timestamp=0, value=b"", headers=()) for n in range(first, end)]


def first_of(delivered: dict[Any, list[Any]]) -> list[int]:
    return [folded.value.first for each in delivered.values() for folded in each]


@pytest.mark.parametrize("meanwhile", ["assigned anew", "revoked", "nothing"])
def test_a_rebalance_while_a_hole_is_looked_at_loses_nothing(meanwhile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 to 99 are not committed, 100 holds no record (a transaction's mark), 101 to 199 come behind the hole."""
    consumer = BatchConsumer.__new__(BatchConsumer)
    BatchConsumer.on_init(consumer)
    consumer.ledger.begin({HERE: 0})
    feed = [records(0, 100), records(101, 200), records(101, 200), records(0, 100)]
    asked, told, sought = asyncio.Event(), asyncio.Event(), []

    async def fetched(*_: Any) -> dict[Any, list[Any]]:
        return {TP: feed.pop(0)}

    async def earliest(*_: Any) -> dict[Any, int]:
        asked.set()
        await told.wait()
        return {TP: 0}

    async def seek(places: Any) -> None:
        sought.append(places)

    monkeypatch.setattr(driver.Consumer, "_getmany", fetched)
    monkeypatch.setattr(consumer, "highwater", lambda _: 1_000, raising=False)
    monkeypatch.setattr(consumer, "earliest_offsets", earliest, raising=False)
    monkeypatch.setattr(consumer, "seek_wait", seek, raising=False)

    async def main() -> None:
        assert first_of(await consumer._getmany(None, 0)) == [0]
        assert first_of(await consumer._getmany(None, 0)) == []
        assert sought == [{TP: 100}], "the hole is read again once"
        behind = asyncio.create_task(consumer._getmany(None, 0))
        await asked.wait()
        if meanwhile == "assigned anew":
            consumer.assignments += 1
            consumer.ledger.begin({HERE: 0})
        elif meanwhile == "revoked":
            consumer.ledger.forget([HERE])
        told.set()
        stale = await behind
        assert first_of(stale) == ([101] if meanwhile == "nothing" else [])
        if meanwhile == "assigned anew":
            assert first_of(await consumer._getmany(None, 0)) == [0], "what was not committed is read again"
        assert consumer.ledger.committable() == {}

    asyncio.run(main())
