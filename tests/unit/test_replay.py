"""A replayed event keeps its identity; headers that cannot be read make it an event like any other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.quarantine import Origin
from stream_jobs.dedup.batch import Headers
from stream_jobs.dedup.replay import ORIGIN, REPLAY, Replay, own_headers, read_replay, replay_headers
from tests.unit.logins import law

origins = st.builds(
    Origin, st.from_regex(r"[A-Za-z0-9_-]{1,22}", fullmatch=True), st.integers(0, (1 << 31) - 1),
    st.integers(0, (1 << 63) - 1), st.integers(-1, (1 << 31) - 1),
)  # fmt: skip


@law(100)
@given(origins, st.integers(1, (1 << 32) - 1))
def test_an_origin_and_its_number_survive_the_way_through_headers(origin: Origin, number: int) -> None:
    assert Origin.parse(str(origin)) == origin
    replay = Replay(origin, number)
    assert read_replay([("content-type", b"x"), *replay_headers(replay)]) == replay


GOOD_ORIGIN, GOOD_NUMBER = (ORIGIN, b"topic/0/17/-1"), (REPLAY, b"1")


@pytest.mark.parametrize(
    "headers",
    [
        [], [GOOD_ORIGIN], [GOOD_NUMBER], [GOOD_ORIGIN, (REPLAY, None)], [(ORIGIN, None), GOOD_NUMBER],
        *([GOOD_ORIGIN, (REPLAY, number)] for number in (b"", b"x", b"0", b"-1", b"1.5", b"\xff", b"9" * 5000,
                                                         b"4294967296")),
        *([(ORIGIN, origin), GOOD_NUMBER] for origin in (
            b"", b"topic", b"topic/0/17", b"topic/0/17/0/0", b"a/b/0/17/0", b"topic/x/17/0", b"topic/-1/17/0",
            b"topic/0/-17/0", b"topic/0/17/-2", b"topic/0/9223372036854775808/0", b"topic/2147483648/1/0",
            b"topic/ 0/17/0", b"topic/0_0/17/0", b"topic/00/17/0", b"t\xff/0/17/0",
            "topic/٣/17/0".encode(),
        )),
    ],
)  # fmt: skip
def test_headers_that_tell_of_no_replay(headers: Headers) -> None:
    assert read_replay(headers) is None


def test_a_record_s_own_headers_are_kept_as_they_came() -> None:
    own: Headers = [("content-type", b"x"), ("ce_id", None), ("ce_id", b"2"), ("x-rollcall", b"1")]
    assert own_headers([GOOD_ORIGIN, *own, GOOD_NUMBER, ("rollcall-later", b"")]) == own
