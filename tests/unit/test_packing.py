"""Packing: nothing lost, nothing changed, nothing held too long, whatever the order and the sizes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.packing import Packer, Record, packed, partition_of
from schemas.event import BATCH, STRUCTURED


def packer(pack: int = 3, max_bytes: int = 1000, linger: float = 1.0, partitions: int = 2) -> Packer:
    return Packer(partitions, pack=pack, max_bytes=max_bytes, linger=linger)


def test_a_record_closes_when_it_holds_enough_events() -> None:
    p = packer()
    assert p.add(0, b'{"a":1}', 0.0) == []
    assert p.add(1, b'{"b":1}', 0.0) == []
    assert p.add(0, b'{"a":2}', 0.0) == []
    assert p.add(0, b'{"a":3}', 0.0) == [Record(0, b'[{"a":1},{"a":2},{"a":3}]', BATCH, 3)]
    assert p.drain() == [Record(1, b'{"b":1}', STRUCTURED, 1)]
    assert p.drain() == []


def test_one_event_a_record_is_structured_mode() -> None:
    assert packer(pack=1).add(0, b" {} ", 0.0) == [Record(0, b" {} ", STRUCTURED, 1)]


def test_a_record_closes_before_it_grows_too_large_and_a_large_event_travels_alone() -> None:
    p = packer(pack=100, max_bytes=21)
    assert p.add(0, b"1" * 9, 0.0) == []
    full = b"[" + b"1" * 9 + b"," + b"2" * 9 + b"]"
    assert [r.value for r in p.add(0, b"2" * 9, 0.0)] == [full], "21 bytes: exactly full"
    p.add(0, b"1" * 9, 0.0)
    assert [r.value for r in p.add(0, b"2" * 10, 0.0)] == [b"1" * 9], "the second would not fit"
    p = packer(pack=100, max_bytes=20)
    p.add(0, b"1", 0.0)
    assert [r.value for r in p.add(0, b"2" * 500, 0.0)] == [b"1", b"2" * 500]


def test_age_counts_from_the_first_event_of_the_record() -> None:
    p = packer(pack=100)
    p.add(0, b"1", 10.0)
    p.add(0, b"2", 10.9)
    assert p.due(10.99) == []
    assert [r.value for r in p.due(11.0)] == [b"[1,2]"]
    p.add(0, b"3", 20.0)
    assert p.due(20.5) == []


def test_the_partition_is_what_librdkafka_calls_consistent() -> None:
    # CRC-32's published check value: of "123456789" it is 0xCBF43926.
    assert partition_of("123456789", 1 << 32) == 0xCBF43926
    assert partition_of("josé", 1 << 32) != partition_of("jose\u0301", 1 << 32), "as spelled"
    assert partition_of("\ud800", 4) in range(4)


def test_partitions_are_evenly_filled() -> None:
    filled = [0] * 8
    for n in range(8000):
        filled[partition_of(f"user{n:05d}@customer-a.example", 8)] += 1
    assert min(filled) > 900


@pytest.mark.parametrize(("partitions", "pack", "max_bytes"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_sizes_are_refused(partitions: int, pack: int, max_bytes: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        packer(partitions=partitions, pack=pack, max_bytes=max_bytes)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.text(max_size=40), st.floats(0, 5))),
    st.integers(1, 7), st.integers(10, 200),
)
def test_every_event_leaves_once_in_order_and_within_the_bounds(
    events: list[tuple[int, str, float]], pack: int, max_bytes: int
) -> None:
    p = Packer(4, pack=pack, max_bytes=max_bytes, linger=2.0)
    out, now = [], 0.0
    for number, (partition, text, wait) in enumerate(events):
        now += wait
        out += p.due(now)
        out += p.add(partition, json.dumps([number, text]).encode(), now)
    out += p.drain()
    for partition in range(4):
        got: list[object] = []
        for record in (r for r in out if r.partition == partition):
            value = json.loads(record.value)
            members = value if record.content_type == BATCH else [value]
            assert len(members) == record.events <= pack
            assert len(record.value) <= max_bytes or record.events == 1
            got += members
        assert got == [[n, text] for n, (where, text, _) in enumerate(events) if where == partition]


@given(
    events=st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.sampled_from("abcdefgh")), max_size=60),
    partitions=st.integers(1, 4), pack=st.integers(1, 6), max_bytes=st.integers(1, 60),
)  # fmt: skip
def test_packed_at_once_is_packed_as_one_by_one(
    events: list[tuple[bytes, str]], partitions: int, pack: int, max_bytes: int
) -> None:
    one_by_one, told = packer(pack, max_bytes, 1.0, partitions), list[Record]()
    for event, subject in events:
        told += one_by_one.add(partition_of(subject, partitions), event, 0.0)
    told += one_by_one.drain()
    at_once = packed(events, partitions, pack=pack, max_bytes=max_bytes)
    assert sorted(told, key=lambda record: record.partition) == at_once
