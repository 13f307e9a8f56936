"""A rebuild's fold against the live one; void rules; what a rebuild does to the quarantine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.generation import FIRST, Generation
from schemas.catalogue import parse_catalogue
from schemas.quarantine import Origin, Refusal, State
from schemas.voids import Void, VoidsError, joined, parse_voids, stored_voids
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.fold import Folded, Folder, Refused
from stream_jobs.dedup.reading import Opening
from stream_jobs.dedup.rebuild import cut
from stream_jobs.dedup.rebuild_fold import Judgement, MonthFolded, MonthFolder
from stream_jobs.dedup.rebuild_quarantine import Standing, to_count, to_set_aside, watched
from stream_jobs.dedup.replay import Replay
from stream_jobs.dedup.resolve import Resolver
from tests.unit.logins import NOW_MS, PACKED, STRUCTURED, TOPIC_ID, Kept, batch, control, law, login, raw

TEXT = """
programmes: {p: {time_zone: Asia/Tokyo}}
tenants: [{id: a, name: A}]
skus:
  - {id: S, name: S, programme: p, family: f, deployment: cloud}
  - {id: T, name: T, programme: p, family: f, deployment: cloud}
products:
  - {source: /one, product: Desk, sku: S, tenant: a}
"""
KIOSK = "  - {source: /one, product: Kiosk, sku: S, tenant: a}\n"
MENDED = TEXT.replace("sku: S, tenant: a}", "sku: T, tenant: a}") + KIOSK
LESS = TEXT[: TEXT.index("products")]
OCTOBER, UNTIL = date(2026, 10, 1), "2026-10-05T11:00:00Z"
VERSIONS = {number: parse_catalogue(text) for number, text in enumerate((TEXT, MENDED, LESS), 1)}
Row = tuple[date, str, str, str, int, tuple[timedelta, str, str], int]


class Reader:
    """The catalogue's three versions over one cache, as a worker or a rebuild has them."""

    def __init__(self) -> None:
        cache = Cache(1000)
        self.resolvers = {
            number: Resolver(number, catalogue, date(2020, 1, 1), cache) for number, catalogue in VERSIONS.items()
        }

    def live(self, records: list[Kept]) -> Folded:
        return Folder(TOPIC_ID, 600.0, self.resolvers.__getitem__, 1, 0).fold(batch(records))

    def again(self, records: list[Kept], version: int = 0, **judged: Any) -> MonthFolded:
        log = self.resolvers.__getitem__
        new = (lambda _: self.resolvers[version]) if version else log
        judgement = Judgement(OCTOBER, new, judged.pop("before", log), **judged)
        folder = MonthFolder(TOPIC_ID, 600.0, Opening(log, 1, 0, frozenset()), judgement)
        folder.fold(batch(records))
        return folder.folded


def rows(folded: Folded) -> set[Row]:
    return {
        (slot.month, slot.tenant, slot.sku, subject, row.days, row.first, row.recorded_in)
        for slot, found in folded.rows.items() for subject, row in found.items()
    }  # fmt: skip


def counted(folded: Folded) -> set[tuple[str, str]]:
    return {(slot.sku, subject) for slot, found in folded.rows.items() for subject in found}


def one(user: str, product: str = "Desk", **changes: Any) -> bytes:
    return raw(login({"product": product}, subject=user, source="/one", **changes))


def kept(offset: int, value: bytes, **changes: Any) -> Kept:
    return Kept(offset, value, PACKED if value[:1] == b"[" else STRUCTURED, **changes)


EVENTS = st.builds(
    one, st.sampled_from("abcd"), st.sampled_from(["Desk", "Kiosk"]), id=st.sampled_from(["1", "2"]),
    time=st.sampled_from(
        ["2026-09-30T14:59:59Z", "2026-09-30T15:00:00Z", "2026-10-31T12:00:00Z", "2026-11-09T00:00:00Z"]
    ),
)  # fmt: skip
VALUES = st.one_of(
    EVENTS, st.just(b"{"), st.lists(st.one_of(EVENTS, st.just(b"5")), min_size=1, max_size=4).map(
        lambda events: b"[" + b",".join(events) + b"]"
    ),
)  # fmt: skip
CONTROLS = st.sampled_from([("catalogue", 2), ("catalogue", 3), ("close", 1), ("close", 2)])
LOGS = st.lists(st.one_of(VALUES, CONTROLS), min_size=1, max_size=12).map(
    lambda made: [
        kept(at, each) if isinstance(each, bytes) else control(at, *each) for at, each in enumerate(made)
    ]
)  # fmt: skip


@law(100)
@given(LOGS, st.data())
def test_read_as_the_log_says_it_is_the_live_reading_of_the_month(log: list[Kept], data: Any) -> None:
    live = {row for row in rows(Reader().live(log)) if row[0] == OCTOBER}
    # Whatever takes the careful way gives the same.
    odd = {at: {0} for at in data.draw(st.sets(st.sampled_from(range(len(log)))))}
    again = Reader().again(log, watched=odd)
    assert rows(again) == live
    assert (again.refused, again.voided) == ([], 0)


@law(100)
@given(LOGS, st.sampled_from([1, 2, 3]))
def test_by_a_version_the_log_s_controls_change_nothing_but_the_close(log: list[Kept], version: int) -> None:
    # The same log without the catalogue's control records, read live by a worker that has only that version.
    closes = [r for r in log if not (r.headers[0][1] != STRUCTURED[0][1] and b"catalogue" in (r.value or b""))]
    reader = Reader()
    folder = Folder(TOPIC_ID, 600.0, lambda _: reader.resolvers[version], version, 0)
    live = rows(folder.fold(batch(closes))) if closes else set()
    assert rows(Reader().again(log, version)) == {row for row in live if row[0] == OCTOBER}


def test_what_the_quarantine_had_and_the_new_version_counts_is_told() -> None:
    october, november = one("x", "Kiosk"), one("y", "Kiosk", time="2026-11-01T01:00:00Z")
    packed = b"[" + one("z") + b"," + one("w", "Kiosk") + b"]"
    log = [kept(0, october), kept(1, november), kept(2, packed), kept(3, b"{")]
    stood = {0: {0}, 1: {0}, 2: {1}, 3: {0}}
    again = Reader().again(log, 2, watched=stood)
    assert again.counted == [Origin(TOPIC_ID, 0, 0, 0), Origin(TOPIC_ID, 0, 2, 1)]
    assert counted(again) == {("S", "x"), ("T", "z"), ("S", "w")}
    assert Reader().again(log, watched=stood).counted == []


def test_what_was_counted_in_the_month_and_is_refused_now_is_told() -> None:
    log = [kept(0, one("x")), kept(1, one("y", time="2026-09-01T00:00:00Z")), kept(2, one("z", "Kiosk")), kept(3, b"{")]
    again = Reader().again(log, 3)
    assert [(each.origin.offset, each.refusal.reason) for each in again.refused] == [(0, "unknown_product")]
    assert rows(again) == set()
    # Held against a reading that did not count it either, nothing is new.
    reader = Reader()
    assert reader.again(log, 3, before=lambda _: reader.resolvers[3]).refused == []


def test_the_reading_of_before_follows_the_log() -> None:
    log = [kept(0, one("x", "Kiosk")), control(1, "catalogue", 2), kept(2, one("y", "Kiosk"))]
    assert [each.origin.offset for each in Reader().again(log, 3).refused] == [2]


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: b"[" + e + b"]"], ids=["one", "packed"])
def test_a_void_rule_leaves_out_its_source_in_its_time(wrap: Callable[[bytes], bytes]) -> None:
    other = raw(login({"tenant": "a", "sku": "S"}, subject="o", source="/other"))
    [void] = parse_voids("[{source: /one, from: '2026-11-01T02:26:40Z', to: '2026-11-01T02:26:41Z', reason: r}]", "v")
    log = [
        kept(0, wrap(one("before")), timestamp=NOW_MS - 1), kept(1, wrap(one("first")), timestamp=NOW_MS),
        kept(2, wrap(other), timestamp=NOW_MS + 500), kept(3, wrap(one("last")), timestamp=NOW_MS + 999),
        kept(4, wrap(one("behind")), timestamp=NOW_MS + 1000), kept(5, raw({"source": "/one"}), timestamp=NOW_MS),
    ]  # fmt: skip
    again = Reader().again(log, voids=[void])
    assert counted(again) == {("S", "before"), ("S", "o"), ("S", "behind")}
    assert (again.voided, again.refused) == (3, [])


@law(50)
@given(st.lists(st.integers(0, 30), unique=True, min_size=1).map(sorted), st.lists(st.integers(-1, 32), max_size=3))
def test_no_piece_reaches_over_a_border(offsets: list[int], borders: list[int]) -> None:
    pieces = cut(batch([kept(at, b"") for at in offsets]), borders)
    assert [record.offset for piece in pieces for record in piece.records] == offsets
    for border in borders:
        assert all(piece.last < border or piece.first >= border for piece in pieces)


def test_an_event_is_counted_under_a_number_of_its_own() -> None:
    new, sent, done = (Origin(TOPIC_ID, 0, at, 0) for at in range(3))
    known = {new: Standing(0, State.waived), sent: Standing(2, State.replayed), done: Standing(1, State.counted)}
    assert to_count([new, new, sent, done, Origin(TOPIC_ID, 9, 9, 9)], known) == [Replay(new, 1), Replay(sent, 2)]
    assert watched(known, TOPIC_ID) == {0: {0: {0}, 1: {0}}}
    assert watched(known, "another") == {}


def test_an_event_is_set_aside_above_the_number_that_it_was_counted_under() -> None:
    new, stood, done = (Origin(TOPIC_ID, 0, at, 0) for at in range(3))
    known = {stood: Standing(0, State.quarantined), done: Standing(1, State.counted)}
    refusal = Refusal("unknown_product", "")
    refused = [Refused(origin, 0, b"", (), refusal, None, NOW_MS) for origin in (new, stood, done, done)]
    assert [(each.origin, each.replay) for each in to_set_aside(refused, known)] == [(new, 0), (done, 2)]


def test_voids_are_kept_once_and_in_order() -> None:
    text = "[{source: /a, from: '2026-10-05T10:00:00+09:00', to: '2026-10-05T11:00:00+09:00', reason: r}]"
    [void] = parse_voids(text, "v")
    again = parse_voids(text.replace("10:00:00+09:00", "01:00:00Z"), "v")  # the same moment
    earlier = parse_voids(text.replace("2026-10", "2026-09"), "v")
    assert stored_voids(joined([void], again, earlier)) == [*earlier, void]
    assert stored_voids(FIRST.voids) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"[{{source: /a, from: '2026-10-05T10:00:00', to: '{UNTIL}', reason: r}}]", r"v:1: \[0\].from: .*offset"),
        (f"- source: /a\n  from: 5\n  to: {UNTIL}\n  reason: r", r"v:2: \[0\].from: is no time; write it"),
        (f"- source: /a\n  from: {UNTIL}\n  to: {UNTIL}\n  reason: r", "v:3: .*is not after from"),
        ("- source: /a\n  from: 2026-10-05T11:00:00Z\n  to: 2026-10-06T11:00:00Z", r"\[0\].reason: is missing; add it"),
        ("[{sauce: /a}]", "there is no such part"),
        ("[]", "has no rule"),
        ("source: /a", "expected a list of rules"),
        ("{", "not YAML"),
    ],
)
def test_a_faulty_void_file_is_refused_with_line_and_cure(text: str, sentence: str) -> None:
    with pytest.raises(VoidsError, match=sentence):
        parse_voids(text, "v")


def test_a_void_covers_whole_milliseconds() -> None:
    void = Void.model_validate({
        "source": "/a", "from": "1970-01-01T00:00:01.0001Z", "to": "1970-01-01T00:00:02.0001Z", "reason": "r",
    })  # fmt: skip
    assert [ms for ms in (1000, 1001, 2000, 2001) if void.covers(ms)] == [1001, 2000]


def test_a_floor_holds_for_its_topic_alone() -> None:
    second = Generation(number=2, table="active_users_g2_x", topic_id="one", offsets={0: 7})
    assert (second.floor("one"), second.floor("made anew"), FIRST.floor("one")) == ({0: 7}, {}, {})
