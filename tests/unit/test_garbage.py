"""Cycles are found between batches: the young after each, everything from time to time."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from stream_jobs.dedup.garbage import FULL_SECONDS, Collector


class Node:
    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_inside_of_a_batch_and_the_young_after_it() -> None:
    now = [0.0]
    garbage = Collector(lambda: now[0])
    assert not gc.isenabled()
    gone = weakref.ref(Node())
    assert gone() is not None
    garbage.collect()
    assert gone() is None


def test_what_outlived_a_batch_goes_with_the_full_collection() -> None:
    now = [0.0]
    garbage = Collector(lambda: now[0])
    node = Node()
    gone = weakref.ref(node)
    garbage.collect()
    del node
    garbage.collect()
    assert gone() is not None
    now[0] = FULL_SECONDS
    garbage.collect()
    assert gone() is None
