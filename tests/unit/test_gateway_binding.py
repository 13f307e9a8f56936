"""CloudEvents' HTTP binding, and which events of a request are taken."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.binding import Unreadable, unpack
from producers.gateway.judge import judge
from schemas.event import read_event
from schemas.gateway import RefusedEvent
from schemas.quarantine import Refusal

STRUCTURED = (b"content-type", b"application/cloudevents+json; charset=UTF-8")
BATCH = (b"content-type", b"application/cloudevents-batch+json")
BINARY = [
    (b"content-type", b"application/json"), (b"ce-specversion", b"1.0"), (b"ce-id", b"1"), (b"ce-source", b"/a"),
    (b"ce-type", b"rollcall.login.v1"), (b"ce-time", b"2026-10-31T23:59:59+09:00"), (b"ce-subject", b"J%C3%BCrgen"),
]  # fmt: skip


class Anyone:
    def may(self, source: str, tenant: str | None) -> tuple[str, str] | None:
        return ("/source", "not this one") if source == "/forbidden" else None


def event(id: object = "1", **changes: object) -> dict[str, object]:
    return {
        "specversion": "1.0", "id": id, "source": "/a", "type": "rollcall.login.v1",
        "time": "2026-10-31T23:59:59+09:00", "subject": "alice", "data": {"tenant": "t", "sku": "s"}, **changes,
    }  # fmt: skip


def test_each_mode_gives_the_same_event() -> None:
    plain = event(subject="Jürgen")
    one = unpack([STRUCTURED], json.dumps(plain).encode())
    many = unpack([BATCH], json.dumps([plain]).encode())
    binary = unpack(BINARY, b'{"tenant":"t","sku":"s"}')
    assert read_event(one.events[0]) == read_event(many.events[0])
    told = read_event(binary.events[0])
    assert told.model_copy(update={"datacontenttype": None}) == read_event(one.events[0])
    assert (one.batch, many.batch, binary.batch) == (False, True, False)
    assert one.events == [json.dumps(plain).encode()], "to the byte"


@pytest.mark.parametrize(
    ("headers", "body", "status", "told"),
    [
        ([], b"{}", 415, "there is no content-type"),
        ([(b"content-type", b"text/plain")], b"{}", 415, r"application/cloudevents-batch\+json"),
        ([(b"content-type", b"application/cloudevents+json; charset=latin1")], b"{}", 415, "send UTF-8"),
        ([STRUCTURED, STRUCTURED], b"{}", 400, "content-type stands twice"),
        ([STRUCTURED, (b"content-encoding", b"gzip")], b"{}", 415, "compressed"),
        ([BATCH], b'{"a":1}', 400, "not a JSON array"),
        ([BATCH], b'[{"a":1},', 400, "cut off"),
        ([*BINARY, (b"ce-id", b"2")], b"{}", 400, "ce-id stands twice"),
        ([*BINARY, (b"ce-data", b"2")], b"{}", 400, "ce-data is no attribute"),
        ([*BINARY, (b"ce-x", b"%FF")], b"{}", 400, "ce-x is not ASCII with percent-encoded UTF-8"),
        ([*BINARY, (b"ce-x", "ü".encode())], b"{}", 400, "ce-x is not ASCII"),
        (BINARY, b"", 400, "the body is empty"),
        (BINARY, b'{"tenant":"t","sku":"s"}, "subject": "mallory"', 400, "not JSON"),
        ([(b"content-type", b"text/xml"), *BINARY[1:]], b"<a/>", 415, "data is JSON here"),
    ],
)
def test_a_request_that_holds_no_event(
    headers: list[tuple[bytes, bytes]], body: bytes, status: int, told: str
) -> None:
    with pytest.raises(Unreadable, match=told) as refused:
        unpack(headers, body)
    assert refused.value.status == status


def test_a_bad_event_costs_no_neighbour_and_is_told_with_its_place() -> None:
    good = [json.dumps(event(str(n))).encode() for n in range(3)]
    bad = [b'{"id":"x"', json.dumps(event("late", time="2026-10-31")).encode(), json.dumps(event(7)).encode(),
           json.dumps(event("f", source="/forbidden")).encode(), b"17",
           json.dumps(event("d", data={"tenant": "t", "sku": 5})).encode()]  # fmt: skip
    body = b"[" + b", ".join([good[0], bad[1], good[1], bad[2], bad[3], bad[4], good[2], bad[5]]) + b"]"
    verdict = judge(unpack([BATCH], body), Anyone(), 10_000)
    assert verdict.taken == [(raw, "alice") for raw in good]
    assert [(r.index, r.id, r.reason, r.pointer) for r in verdict.refused] == [
        (1, "late", "bad_time", "/1/time"), (3, None, "wrong_type", "/3/id"), (4, "f", "forbidden", "/4/source"),
        (5, None, "not_an_event", "/5"), (7, "d", "wrong_type", "/7/data/sku"),
    ]  # fmt: skip
    assert all(r.detail for r in verdict.refused)


def test_the_fast_way_refuses_as_the_careful_one() -> None:
    """A batch of good events goes the fast way: rights and sizes hold there too."""
    large = event("l", subject="x" * 500)
    body = json.dumps([event("1"), event("f", source="/forbidden"), large, event("2")]).encode()
    verdict = judge(unpack([BATCH], body), Anyone(), 400)
    assert [(r.index, r.reason) for r in verdict.refused] == [(1, "forbidden"), (2, "too_large")]
    assert [json.loads(raw)["id"] for raw, _ in verdict.taken] == ["1", "2"]
    careful = judge(unpack([BATCH], body[:-1] + b", {}]"), Anyone(), 400)
    assert careful.taken == verdict.taken
    assert careful.refused[:2] == verdict.refused


def test_an_empty_batch_has_nothing_in_it() -> None:
    verdict = judge(unpack([BATCH], b" [ ] "), Anyone(), 400)
    assert (verdict.taken, verdict.refused) == ([], [])


@given(
    st.lists(st.tuples(st.sampled_from([",", ", ", " ,\n"]), st.text('{},"\\[]a', min_size=1)), min_size=1, max_size=5),
    st.booleans(),
)
def test_a_batch_is_cut_where_its_events_end(events: list[tuple[str, str]], tight: bool) -> None:
    """The short cut by `},{` against the parser, with braces and commas in texts and any white space."""
    made = [json.dumps(event(id), separators=(",", ":") if tight else None) for _, id in events]
    body = "[" + made[0] + "".join(comma + one for (comma, _), one in zip(events[1:], made[1:], strict=True)) + "]"
    assert unpack([BATCH], body.encode()).events == [one.encode() for one in made]


PIECES = st.one_of(
    st.builds(lambda n: json.dumps(event(str(n))).encode(), st.integers(0, 9)),
    st.builds(lambda n: json.dumps(event(n)).encode(), st.one_of(st.none(), st.text(max_size=3), st.floats())),
    st.sampled_from([b"", b"{", b"}", b"[]", b'"', b"null", b"\xff", b'{"specversion":"1.0"}', b"]", b",", b"\x00"]),
    st.binary(max_size=20),
)


@given(st.lists(PIECES, max_size=6), st.sampled_from([STRUCTURED, BATCH]))
def test_any_bytes_are_taken_only_as_the_contract_takes_them(
    pieces: list[bytes], mode: tuple[bytes, bytes]
) -> None:
    body = b"[" + b",".join(pieces) + b"]" if mode is BATCH else b"".join(pieces)
    try:
        request = unpack([mode], body)
    except Unreadable:
        return
    verdict = judge(request, Anyone(), 10_000)
    assert len(verdict.taken) + len(verdict.refused) == len(request.events)
    for raw, subject in verdict.taken:
        assert read_event(raw).subject == subject
        assert raw in body
    refused: list[RefusedEvent] = verdict.refused
    for each in refused:
        with pytest.raises(Refusal):
            read_event(request.events[each.index])
