"""The way into ClickHouse: blocks in order, each again until it is taken, none of them twice for another's sake."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from infra.clickhouse.client import Retryable
from infra.errors import CheckFailed
from schemas.settings import Settings
from stream_jobs.dedup.rows import Block
from stream_jobs.dedup.sink import Sink

NOBODY: Any = None
BLOCKS = [Block(name, ("n",), [[1]]) for name in ("names", "rows", "activity")]


class Flaky(Sink):
    """What befalls each try, in their order; then all is well."""

    def __init__(self, befalls: list[Exception | None]) -> None:
        self.told: list[str] = []
        super().__init__(NOBODY, Settings(), self.told.append)
        self.befalls, self.tried = befalls, list[str]()

    def _insert(self, block: Block) -> None:
        self.tried.append(block.table)
        if self.befalls and (error := self.befalls.pop(0)) is not None:
            raise error


@pytest.mark.parametrize(
    ("befalls", "tried", "told"),
    [
        ([], ["names", "rows", "activity"], []),
        ([Retryable("away")], ["names", "names", "rows", "activity"], ["names"]),
        ([None, Retryable("away"), Retryable("away")], ["names", "rows", "rows", "rows", "activity"], ["rows"] * 2),
        (
            [None, Retryable("away"), None, Retryable("away")],
            ["names", "rows", "rows", "activity", "activity"], ["rows", "activity"],
        ),
    ],
)  # fmt: skip
def test_each_block_is_tried_until_it_is_taken(
    befalls: list[Exception | None], tried: list[str], told: list[str]
) -> None:
    sink = Flaky(befalls)
    asyncio.run(sink.store(iter(BLOCKS)))
    assert sink.tried == tried
    assert sink.told == [f"inserting into {name}" for name in told]


@pytest.mark.parametrize("before", [[], [Retryable("away")]])
def test_what_no_repeat_cures_is_raised_at_once(before: list[Exception | None]) -> None:
    sink = Flaky([None, *before, CheckFailed("no such table")])
    with pytest.raises(CheckFailed, match="no such table"):
        asyncio.run(sink.store(BLOCKS))
    assert sink.tried == ["names", "rows", *["rows" for _ in before]]
