"""A folded batch as blocks: what is acknowledged first, what stands in the columns, and what is read of bad bytes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.keyring import FIRST, Keys
from infra.pseudonyms import MonthlyPseudonyms
from schemas.calendar import epoch_us
from schemas.catalogue import parse_catalogue
from schemas.event import MAX_ID
from schemas.quarantine import Origin, Refusal, State
from stream_jobs.dedup import rows
from stream_jobs.dedup.batch import Headers
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.fold import Folded, Folder, Refused
from stream_jobs.dedup.replay import Replay, replay_headers
from stream_jobs.dedup.resolve import Resolver
from stream_jobs.dedup.rows import Block, blocks, glimpse
from tests.unit.logins import NOW_MS, STRUCTURED, TOPIC_ID, Kept, batch, control, law, login, raw

PSEUDONYMS = MonthlyPseudonyms(Keys({FIRST: b"k" * 32}))
APPENDED = datetime.fromtimestamp(NOW_MS / 1000, UTC)
NEVER = datetime(2262, 1, 1, tzinfo=UTC)


class Job:
    """Fold and cache of one worker, over the shipped catalogue."""

    def __init__(self, catalogue: str) -> None:
        self.cache = Cache(1000)
        self.resolver = Resolver(1, parse_catalogue(catalogue), date(2020, 1, 1), self.cache)

    def fold(self, records: list[Kept]) -> Folded:
        return Folder(TOPIC_ID, 600.0, lambda _: self.resolver, 1, 0).fold(batch(records, partition=3))

    def blocks(self, records: list[Kept], learn: bool = True) -> dict[str, Block]:
        folded = self.fold(records)
        made = blocks(folded, TOPIC_ID, 3, PSEUDONYMS, self.cache)
        if learn:
            rows.learn(folded, self.cache)
        return {block.table: block for block in made}


@pytest.fixture
def job(example_catalogue: str) -> Job:
    return Job(example_catalogue)


def lines(block: Block) -> list[dict[str, Any]]:
    return [dict(zip(block.names, line, strict=True)) for line in zip(*block.columns, strict=True)]


GOOD, BAD = raw(login()), raw(login(specversion="0.3"))


def test_names_quarantine_and_control_records_come_before_the_rows(job: Job) -> None:
    records = [Kept(7, GOOD), Kept(8, BAD), control(9, "close", 4)]
    assert list(job.blocks(records)) == ["subject_names", "quarantine", "control_places", "active_users"]


@pytest.mark.parametrize(
    ("record", "table"), [(Kept(0, BAD), "quarantine"), (control(0, "close", 1), "control_places")]
)
def test_no_block_is_empty(job: Job, record: Kept, table: str) -> None:
    assert list(job.blocks([record])) == [table]


def test_a_row_to_the_letter(job: Job) -> None:
    found = job.blocks([Kept(7, GOOD), Kept(8, raw(login(subject=" ALICE@customer-a.example", id="0")))])
    subject = PSEUDONYMS.first.of("customer-a", "alice@customer-a.example")
    moment = epoch_us(datetime(2026, 10, 31, 14, 59, 59, 123_000, tzinfo=UTC))
    spelled = [("/citrix/tokyo-1", "1"), ("/citrix/tokyo-1", "0")]
    assert lines(found["active_users"]) == [
        {
            "month": date(2026, 10, 1), "tenant": "customer-a", "sku": "DAAS-PREM-T1", "subject": subject,
            "first_event": (moment, *first), "active_days": 1 << 31, "recorded_in": 0,
        }
        for first in spelled
    ]  # fmt: skip
    assert lines(found["subject_names"]) == [
        {"tenant": "customer-a", "subject": subject, "name": "alice@customer-a.example"}
    ]


@pytest.mark.parametrize("fraction", ["000001", "123457", "999999", "000000", "500000"])
def test_first_events_are_exact_to_the_microsecond(job: Job, fraction: str) -> None:
    (row,) = lines(job.blocks([Kept(0, raw(login(time=f"2026-10-31T23:59:59.{fraction}+09:00")))])["active_users"])
    assert row["first_event"][0] % 1_000_000 == int(fraction)


def test_a_name_is_written_with_the_first_row_of_its_month_alone(job: Job) -> None:
    assert "subject_names" in job.blocks([Kept(0, GOOD)])
    earlier = raw(login(time="2026-10-30T23:59:59.123+09:00"))
    found = job.blocks([Kept(1, earlier)])
    assert "active_users" in found
    assert "subject_names" not in found
    assert "subject_names" in job.blocks([Kept(2, raw(login(time="2026-11-01T00:00:00+09:00")))])


def test_an_erased_name_is_not_written_whatever_key_holds(job: Job) -> None:
    """Erased by the first key's pseudonym; the login is of a month of the second, and is counted."""
    keys = MonthlyPseudonyms(Keys({FIRST: b"k" * 32, date(2026, 10, 1): b"l" * 32}))
    erased = frozenset({("customer-a", keys.first.of("customer-a", "alice@customer-a.example"))})
    folded = job.fold([Kept(0, GOOD), Kept(1, raw(login(subject="bob")))])
    names, active = rows.people(folded, keys, job.cache, "active_users", erased)
    assert names.columns[2] == ["bob"]
    assert set(active.columns[3]) == {
        keys.at(date(2026, 10, 1)).of("customer-a", name) for name in ("alice@customer-a.example", "bob")
    }


def test_a_failed_insert_teaches_nothing(job: Job) -> None:
    assert job.blocks([Kept(0, GOOD)], learn=False).keys() == job.blocks([Kept(0, GOOD)], learn=False).keys()


def test_control_records_with_their_place(job: Job) -> None:
    found = job.blocks([control(8, "catalogue", 2), control(9, "close", 4)])["control_places"]
    assert lines(found) == [
        {"topic_id": TOPIC_ID, "kind": kind, "partition": 3, "number": number, "offset": offset,
         "append_time": APPENDED}
        for kind, number, offset in [("catalogue", 2, 8), ("close", 4, 9)]
    ]  # fmt: skip


def test_what_is_set_aside_names_no_people(job: Job) -> None:
    (line,) = lines(job.blocks([Kept(8, b"[" + GOOD + b"," + BAD + b"]")])["quarantine"])
    latest = line.pop("latest")
    assert latest[:3] == (0, State.quarantined, "wrong_specversion")
    assert "alice" not in latest[3]
    assert line == {
        "topic_id": TOPIC_ID, "partition": 3, "offset": 8, "place": 1, "source": "/citrix/tokyo-1",
        "event_time": datetime(2026, 10, 31, 14, 59, 59, 123_000, tzinfo=UTC), "append_time": APPENDED,
    }  # fmt: skip


def test_a_replay_that_counts_or_does_not_tells_so_under_its_first_place(job: Job) -> None:
    replay = Replay(Origin("first-topic", 1, 17, 2), 3)
    headers = [*STRUCTURED, *replay_headers(replay)]
    (counted,) = lines(job.blocks([Kept(8, GOOD, headers)])["quarantine"])
    (again,) = lines(job.blocks([Kept(9, BAD, headers)])["quarantine"])
    for line in (counted, again):
        assert (line["topic_id"], line["partition"], line["offset"], line["place"]) == replay.origin
    assert counted["latest"] == (3, State.counted, "", "")
    assert (counted["source"], counted["event_time"], counted["append_time"]) == ("", None, NEVER), "neutral"
    assert again["latest"][:3] == (3, State.quarantined, "wrong_specversion")


# What is read of an event that cannot be counted


def refused(value: bytes, headers: Headers = ()) -> Refused:
    return Refused(Origin("topic", 0, 0, 0), 0, value, headers, Refusal("not_json", ""), None, NOW_MS)


MOMENT = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)
TIME = '"time":"2026-10-31T23:59:59Z"'
GLIMPSES: list[tuple[str, Headers, tuple[str, datetime | None]]] = [
    (f'{{"source":"/one",{TIME}}}', (), ("/one", MOMENT)),
    (f'{{"source":5,{TIME}}}', (), ("unknown", MOMENT)),
    ('{"source":"/one","time":"soon"}', (), ("/one", None)),
    ('{"source":"/one","time":5}', (), ("/one", None)),
    ('{"source":"/one","time":"0001-01-01T00:00:00Z"}', (), ("/one", None)),
    ('{"source":"/one","time":"9999-12-31T23:59:59Z"}', (), ("/one", None)),
    ('{"source":""}', (), ("unknown", None)),
    ('{"source":"a\\u0000b"}', (), ("unknown", None)),
    (f'{{"source":"{"x" * (MAX_ID + 1)}"}}', (), ("unknown", None)),
    ('{"source":"/one"', (), ("unknown", None)),
    ("[]", (), ("unknown", None)),
    ("", (), ("unknown", None)),
    ('{"sku":"S"}', [("ce_source", b"/two"), ("ce_time", b"2026-10-31T23:59:59Z")], ("/two", MOMENT)),
    ("no json", [("ce_source", b"/two")], ("/two", None)),
    ("no json", [("ce_source", b"\xff\x00")], ("unknown", None)),
    ("no json", [("ce_source", None)], ("unknown", None)),
]


@pytest.mark.parametrize(("value", "headers", "seen"), GLIMPSES)
def test_source_and_time_of_a_refused_event_where_they_can_be_read(
    value: str, headers: Headers, seen: tuple[str, datetime | None]
) -> None:
    assert glimpse(refused(value.encode(), headers)) == seen


names = st.sampled_from(["ce_source", "ce_time", "content-type"])


@law(200)
@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda s: raw({"source": s, "time": s})),
       st.lists(st.tuples(names, st.none() | st.binary(max_size=8)), max_size=2))
@example(b"[" * 100_000, [])
@example(b'{"a":' * 100_000, [])
@example(b'{"time":' + b"9" * 5000 + b"}", [])
def test_no_bytes_make_it_fail_and_what_it_reads_can_be_stored(value: bytes, headers: Headers) -> None:
    source, time = glimpse(refused(value, headers))
    assert source.encode().decode() == source
    assert 0 < len(source) <= MAX_ID
    assert time is None or datetime(1900, 1, 1, tzinfo=UTC) <= time < NEVER


def test_only_a_records_first_content_type_makes_it_a_control_record(example_catalogue: str) -> None:
    """Nobody has loaded the version that the others name: taking them for control records would end the worker."""
    resolver = Resolver(1, parse_catalogue(example_catalogue), date(2020, 1, 1), Cache(1000))
    named = control(0, "catalogue", 9)
    records = [Kept(0, named.value, [("content-type", b"text/plain"), *named.headers]), Kept(1, raw(login()))]
    folded = Folder(TOPIC_ID, 600.0, {1: resolver}.__getitem__, 1, 0).fold(batch(records))
    assert [refused.refusal.reason for refused in folded.refused] == ["not_an_event"]
    assert (folded.controls, sum(map(len, folded.rows.values()))) == ([], 1)
