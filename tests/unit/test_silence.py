"""When a source is expected to speak, and when it did not: against a clock that is asked minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.calendar import month_interval
from schemas.silence import HOUR, Silence, Span, expected, heard_spans, silences
from schemas.source_declared import WEEKDAYS, DeclaredSource, Rhythm

MINUTE = 60


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def rhythm(**given: object) -> Rhythm:
    return Rhythm.model_validate({"silent_after": "6h", **given})


def by_the_clock(r: Rhythm, second: int) -> bool:
    """The definition: what a clock on the wall shows."""
    local = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(r.zone))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if r.start < r.to:
        return WEEKDAYS[day] in r.days and r.start <= minute < r.to
    return (WEEKDAYS[day] in r.days and minute >= r.start) or (WEEKDAYS[day - 1] in r.days and minute < r.to)


# Forward and back by an hour, by half an hour, over midnight, and a whole day left out.
_EDGES = ["2026-03-29T00:00Z", "2026-10-25T00:00Z", "2026-04-04T14:00Z", "2009-11-01T02:00Z", "2011-12-30T08:00Z"]
_ZONES = ["Asia/Tokyo", "Europe/Amsterdam", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Asia/Kolkata"]
_clock = st.integers(0, 24 * 60).map(lambda m: f"{m // 60:02}:{m % 60:02}")
_rhythms = st.builds(
    rhythm, days=st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True), **{"from": _clock, "to": _clock},
    zone=st.sampled_from(_ZONES),
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    r=_rhythms, edge=st.sampled_from(_EDGES), before=st.integers(0, 60), after=st.integers(1, 60),
    quarters=st.sets(st.integers(-300, 300), max_size=12), longest=st.integers(1, 24),
)
@example(
    r=rhythm(**{"from": "02:30", "to": "03:10"}, zone="Europe/Amsterdam"), edge=_EDGES[0], before=10, after=10,
    quarters=set(), longest=1,
)  # fmt: skip
def test_minute_by_minute(
    r: Rhythm, edge: str, before: int, after: int, quarters: set[int], longest: int
) -> None:
    within = Span(at(edge) - before * HOUR, at(edge) + after * HOUR)
    heard = [Span(at(edge) + q * 900, at(edge) + q * 900 + HOUR) for q in quarters]
    minutes = range(within.start, within.end, MINUTE)
    wanted = [m for m in minutes if by_the_clock(r, m)]
    spans = expected(r, within)
    assert [m for m in minutes if any(s.start <= m < s.end for s in spans)] == wanted
    assert sum(s.seconds for s in spans) == len(wanted) * MINUTE

    due, runs = frozenset(wanted), list[list[int]]([[]])
    for m in minutes:
        if any(h.start <= m < h.end for h in heard):
            runs.append([])
        elif m in due:
            runs[-1].append(m)
    long = [Silence(run[0], run[-1] + MINUTE, len(run) * MINUTE) for run in runs if len(run) * MINUTE > longest * HOUR]
    assert silences(spans, heard, longest * HOUR) == long


def test_a_month_of_weekdays() -> None:
    """October 2026 has 22 weekdays; nights and weekends are no silence, and do not end one."""
    tokyo = rhythm(days=["mon", "tue", "wed", "thu", "fri"], **{"from": "08:00", "to": "20:00"}, zone="Asia/Tokyo")
    start, end = (us // 1_000_000 for us in month_interval(date(2026, 10, 1), ZoneInfo("Asia/Tokyo")))
    spans = expected(tokyo, Span(start, end))
    assert [s.seconds for s in spans] == [12 * HOUR] * 22
    hours = [Span(s.start + h * HOUR, s.start + (h + 1) * HOUR) for s in spans for h in range(12)]
    assert silences(spans, hours, 6 * HOUR) == []
    friday, monday = at("2026-10-16T16:00+09:00"), at("2026-10-19T11:00+09:00")
    lost = [h for h in hours if not friday <= h.start < monday]
    assert silences(spans, lost, 6 * HOUR) == [Silence(friday, monday, 7 * HOUR)]
    assert silences(spans, lost, 7 * HOUR) == []  # the longest that is allowed
    assert silences(spans, [*lost, Span(at("2026-10-18T03:00+09:00"), at("2026-10-18T04:00+09:00"))], 6 * HOUR) == []


def test_the_months_edges_are_half_open() -> None:
    always = rhythm(silent_after="1h")
    within = Span(at("2026-10-01T00:00Z"), at("2026-11-01T00:00Z"))
    assert expected(always, within) == [within]
    assert silences([within], [], HOUR) == [Silence(*within, within.seconds)]
    heard = [Span(within.start - HOUR, within.start + HOUR), Span(within.end - 2 * HOUR, within.end + HOUR)]
    assert silences([within], heard, HOUR) == [
        Silence(within.start + HOUR, within.end - 2 * HOUR, within.seconds - 3 * HOUR)
    ]


def test_bits_of_a_day() -> None:
    assert list(heard_spans(date(2026, 10, 1), 1 | 1 << 95)) == [
        Span(at("2026-10-01T00:00Z"), at("2026-10-01T01:00Z")), Span(at("2026-10-01T23:45Z"), at("2026-10-02T00:45Z")),
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "sentence"), [
    ({"rhythm": {"silent_after": "6"}}, "is not a length of time; write it as 6h"),
    ({"rhythm": {"silent_after": 6}}, "is not a length of time"),
    ({"rhythm": {"silent_after": "59m"}}, "is too short"),
    ({"rhythm": {"silent_after": "6h", "from": 1200}}, "write it in quotes"),
    ({"rhythm": {"silent_after": "6h", "to": "24:01"}}, 'the last is "24:00"'),
    ({"rhythm": {"silent_after": "6h", "zone": "Tokyo"}}, "is not an IANA time zone"),
    ({"settings": {"tenant": "a"}}, "it pushes; remove them"),
    ({"kind": "citrix", "settings": {"client": "c"}}, "but no `reads`"),
    ({"reads": "https://x.example"}, "push is not read"),
    ({"kind": "citrix", "reads": "https://x.example", "settings": {"client": "c", "secret": "word"}}, "secret"),
])  # fmt: skip
def test_what_cannot_be_declared(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DeclaredSource.model_validate({"source": "/x", "kind": "push", **given})
    assert sentence in str(caught.value)


def test_lengths_are_read_as_they_are_written() -> None:
    for text, written in (("6h", "6h"), ("90m", "1h30m"), ("1d12h", "36h"), ("60m", "1h")):
        assert rhythm(silent_after=text).model_dump(mode="json")["silent_after"] == written
