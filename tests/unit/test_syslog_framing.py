"""Messages out of a stream, RFC 6587, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from producers.listening.framing import Framing

LIMIT = 60
body = st.text("ab<>[]\" 19é", min_size=1, max_size=30).map(lambda text: f"<110>1 {text}x".encode())
framed = st.tuples(body, st.sampled_from(["counted", "line", "crlf"]))


def wire(message: bytes, how: str) -> bytes:
    if how == "counted":
        return b"%d %s" % (len(message), message)
    return message + (b"\n" if how == "line" else b"\r\n")


@given(st.lists(framed, max_size=8), st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_gives_the_same_messages(messages: list[tuple[bytes, str]], cuts: list[int]) -> None:
    stream = b"".join(wire(message, how) for message, how in messages)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    framing = Framing(200)
    found = [m for a, b in pairwise(places) for m in framing.feed(stream[a:b])]
    assert found == [message for message, _ in messages]
    assert (framing.rest, framing.too_long) == (b"", 0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["counted", "line"])), max_size=8), st.integers(1, 50))
def test_a_message_that_is_too_long_costs_no_neighbour(messages: list[tuple[bool, str]], step: int) -> None:
    good, bad = b"<110>1 good", b"<110>1 " + b"x" * 2 * LIMIT
    stream = b"".join(wire(bad if long else good, how) for long, how in messages)
    framing = Framing(LIMIT)
    found = [m for at in range(0, len(stream), step) for m in framing.feed(stream[at: at + step])]
    assert found == [good for long, _ in messages if not long]
    assert framing.too_long == sum(long for long, _ in messages)


def test_a_message_that_never_ended_is_none() -> None:
    framing = Framing(LIMIT)
    assert framing.feed(b"<110>1 whole\n20 <110>1 cut") == [b"<110>1 whole"]
    assert framing.rest == b"20 <110>1 cut"


@given(st.binary(max_size=300), st.integers(1, 40))
def test_rubbish_ends_and_stays_bounded(data: bytes, step: int) -> None:
    framing = Framing(LIMIT)
    for at in range(0, len(data), step):
        assert all(0 < len(m) <= LIMIT for m in framing.feed(data[at: at + step]))
        assert len(framing.rest) <= LIMIT + step + 11
