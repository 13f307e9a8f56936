"""What cannot be counted, through real Kafka, worker and ClickHouse: set aside once, looked at, sent round again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiokafka
import pytest
from clickhouse_connect.driver.client import Client
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import NoError

from infra.catalogue import apply
from infra.clickhouse.client import connect
from infra.errors import CheckFailed
from infra.generation import FIRST
from infra.kafka.connection import admin_client, aiokafka_options, kafka_python_options
from infra.kafka.topics import describe
from infra.keyring import FIRST as FIRST_MONTH
from infra.keyring import Keys
from infra.lookups import Asker
from infra.pseudonyms import MonthlyPseudonyms
from infra.waiting import wait_until
from schemas.calendar import parse_month
from schemas.control import CONTROL_TYPE
from schemas.event import BATCH, DATA, STRUCTURED
from schemas.quarantine import Origin, Refusal, State
from schemas.settings import PREFIX, Settings
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.fold import Folded, Refused
from stream_jobs.dedup.quarantine import Quarantine
from stream_jobs.dedup.rows import blocks
from stream_jobs.quarantine import desk, replays
from stream_jobs.quarantine.topic import scan

ASKER = Asker("tester", "a test")
REPOSITORY = Path(__file__).parents[2]
WORKER_SECONDS = 90
LONG_AGO = datetime(2000, 1, 2, tzinfo=UTC)
Headers = Sequence[tuple[str, bytes | None]]

PRODUCT_MAPPED = """
  - source: /citrix/tokyo-1
    product: Design Desktop
    sku: DAAS-PREM-T1
    tenant: customer-a
"""


class Outcome(NamedTuple):
    code: int
    said: str


def run_worker(settings: Settings, *arguments: str) -> Outcome:
    """`rollcall worker --drain` in a process of its own, with these settings in its environment."""
    groups = settings.model_dump(mode="json", exclude_none=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    for name, value in groups.items():
        for inner, each in value.items() if isinstance(value, dict) else [("", value)]:
            environment[f"{PREFIX}{name}_{inner}".rstrip("_").upper()] = str(each)
    done = subprocess.run(
        [sys.executable, "-m", "console.main", "worker", "--drain", *arguments],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=WORKER_SECONDS, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout + done.stderr)


def drain(settings: Settings) -> None:
    outcome = run_worker(settings)
    assert outcome.code == 0, outcome.said


class Sent(NamedTuple):
    partition: int
    offset: int


def send(
    settings: Settings, records: Iterable[tuple[bytes | None, Headers]], partition: int = 0, **options: Any
) -> list[Sent]:
    """Sends records as they are (kafka-python would refuse a header without a value); returns where each stands."""

    async def sent() -> list[Sent]:
        producer = aiokafka.AIOKafkaProducer(
            **aiokafka_options(settings.kafka), acks="all", max_request_size=1 << 30, **options
        )
        await producer.start()
        try:
            futures = [
                await producer.send(settings.kafka.topic, value, b"key", partition, headers=list(headers))
                for value, headers in records
            ]
            return [Sent(partition, (await future).offset) for future in futures]
        finally:
            await producer.stop()

    return asyncio.run(sent())


def event(user: str, **changes: Any) -> dict[str, Any]:
    """A login that counts for customer-a in March 2025; a change to None takes the member out."""
    login = {
        "specversion": "1.0", "id": f"id-{user}", "source": "/citrix/tokyo-1", "type": "rollcall.login.v1",
        "time": "2025-03-15T12:00:00+09:00", "subject": f"{user}@customer-a.example",
        "data": {"tenant": "customer-a", "sku": "DAAS-PREM-T1"},
    } | changes  # fmt: skip
    return {name: value for name, value in login.items() if value is not None}


def raw(user: str, **changes: Any) -> bytes:
    return json.dumps(event(user, **changes)).encode()


def packed(*parts: bytes) -> bytes:
    return b"[" + b", ".join(parts) + b"]"


def typed(content_type: bytes) -> Headers:
    return [("content-type", content_type)]


def binary(user: str, **changes: Any) -> Headers:
    login = event(user, **changes)
    return [("content-type", DATA)] + [(f"ce_{k}", v.encode()) for k, v in login.items() if k != "data"]


def counted(client: Client, month: str = "2025-03-01") -> list[str]:
    """Every user counted in the month, sorted."""
    rows = client.query(
        "SELECT DISTINCT name FROM subject_names JOIN active_users USING (tenant, subject) WHERE month = {m:Date} "
        "ORDER BY name", parameters={"m": month},
    ).result_rows  # fmt: skip
    return [name for (name,) in rows]


def spelled(users: Iterable[str]) -> list[str]:
    return sorted(f"{user}@customer-a.example" for user in users)


class Bad(NamedTuple):
    """A record to send, what must be set aside of it (place, reason, bytes), and who must be counted."""

    what: str
    value: bytes | None
    headers: Headers
    refused: list[tuple[int, str, bytes]]
    good: tuple[str, ...] = ()


def one(what: str, value: bytes, reason: str, headers: Headers | None = None) -> Bad:
    """A record with one event, which is bad."""
    return Bad(what, value, typed(STRUCTURED) if headers is None else headers, [(0, reason, value)])


def whole(what: str, value: bytes | None, reason: str, headers: Headers) -> Bad:
    """A record of which nothing can be read."""
    return Bad(what, value, headers, [(-1, reason, value or b"")])


def with_data(user: str, **data: Any) -> bytes:
    return raw(user, data=data)


NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BAD = [
    one("not JSON", b"hello, world", "not_json"),
    one("cut off", raw("cut-off")[:-20], "not_json"),
    one("more behind it", raw("behind") + b" x", "not_json"),
    one("a number for the subject", raw("wrong-type", subject=42), "wrong_type"),
    one("a list for the data", raw("wrong-data", data=[]), "wrong_type"),
    one("no id", raw("no-id", id=None), "missing_member"),
    one("neither SKU nor product", with_data("no-sku", tenant="customer-a"), "missing_member"),
    one("no offset in the time", raw("no-offset", time="2025-03-15T12:00:00"), "bad_time"),
    one("no such day", raw("no-day", time="2025-02-30T12:00:00Z"), "bad_time"),
    one("a time in seconds", raw("seconds", time=1_700_000_000), "bad_time"),
    one("far future", raw("far", time="2099-01-01T00:00:00Z"), "in_the_future"),
    one("the end of time", raw("end", time="9999-12-31T23:59:59Z"), "in_the_future"),
    one("past the end of time", raw("past", time="9999-12-31T23:59:59-09:00"), "in_the_future"),
    one("year 1", raw("year-1", time="0001-01-01T00:00:00Z"), "before_floor"),
    one("before year 1", raw("year-0", time="0001-01-01T00:00:00+09:00"), "before_floor"),
    one("before the floor", raw("old", time="1999-12-31T23:59:59Z"), "before_floor"),
    one("a raw NUL", raw("nul", subject="a?b").replace(b"?", b"\0"), "not_json"),
    one("an escaped NUL", raw("nul", subject="a\0b"), "invalid_value"),
    one("NUL alone", b"\0" * 50, "not_json"),
    one("a lone surrogate", raw("x").replace(b"x@", b"\\ud800@"), "invalid_value"),
    one("invalid UTF-8", raw("x").replace(b"x@", b"\xff\xfe@"), "not_utf8"),
    one("UTF-16", json.dumps(event("wide")).encode("utf-16"), "not_utf8"),
    one("a BOM", b"\xef\xbb\xbf" + raw("bom"), "not_json"),
    one("unknown SKU", with_data("sku", tenant="customer-a", sku="NO-SUCH"), "unknown_sku"),
    one("unknown tenant", with_data("tenant", tenant="nobody", sku="DAAS-PREM-T1"), "unknown_tenant"),
    one("unknown product", with_data("product", product="No Such Desktop"), "unknown_product"),
    one("nothing names a tenant", raw("x", subject="x@else.example", data={"sku": "DAAS-PREM-T1"}), "no_tenant"),
    one("conflict", with_data("c", tenant="customer-b", product="Finance Desktop"), "tenant_conflict"),
    one("before the SKU's time", raw("early", time="2024-12-31T12:00:00+09:00"), "sku_not_valid"),
    one("wrong specversion", raw("spec", specversion="0.3"), "wrong_specversion"),
    one("another type", raw("type", type="com.example.logout"), "unknown_event_type"),
    one("a member twice", raw("twice")[:-1] + b', "subject": "other@customer-a.example"}', "duplicate_member"),
    one("nested", raw("deep")[:-1] + b', "x": ' + b"[" * 99 + b"]" * 99 + b"}", "nested_too_deep"),
    one("nested very deeply", NESTED, "nested_too_deep"),
    one("NaN", raw("nan")[:-1] + b', "x": NaN}', "not_json"),
    one("a number of 5,000 digits", raw("huge")[:-1] + b', "x": ' + b"9" * 5000 + b"}", "not_json"),
    one("a huge number for the id", raw("huge", id="?").replace(b'"?"', b"1e400"), "wrong_type"),
    one("a blank subject", raw("blank", subject="   "), "invalid_value"),
    one("an endless id", raw("long", id="i" * 100_000), "invalid_value"),
    one("null", b"null", "not_an_event"),
    one("text", b'"text"', "not_an_event"),
    one("no content type", b"{}", "missing_member", []),
    whole("empty", b"", "empty", typed(STRUCTURED)),
    whole("a tombstone", None, "empty", []),
    whole("unknown content type", raw("plain"), "not_an_event", typed(b"text/plain")),
    whole("a content type without a value", raw("void"), "not_an_event", [("content-type", None)]),
    whole("array cut off", packed(raw("in-1"), raw("in-2"))[:-30], "not_json", typed(BATCH)),
    whole("no array", raw("single"), "not_json", typed(BATCH)),
    Bad(
        "array of good and bad",
        packed(raw("array-1"), b"{}", raw("array-2"), b"7", raw("array-3", specversion="2.0"), raw("array-4")),
        typed(BATCH),
        [(1, "missing_member", b"{}"), (3, "not_an_event", b"7"),
         (4, "wrong_specversion", raw("array-3", specversion="2.0"))],
        ("array-1", "array-2", "array-4"),
    ),
    Bad(
        "array with invalid UTF-8 and rubbish", packed(raw("array-5"), b'{"id": "\xff"}', b"nonsense", raw("array-6")),
        typed(BATCH), [(1, "not_utf8", b'{"id": "\xff"}'), (2, "not_json", b"nonsense")], ("array-5", "array-6"),
    ),
    Bad("arrays in an array", packed(packed(raw("inner")), raw("array-7")), [],
        [(0, "not_an_event", packed(raw("inner")))], ("array-7",)),
    Bad("binary mode", b'{"tenant": "customer-a", "sku": "DAAS-PREM-T1"}', binary("binary"), [], ("binary",)),
    one("binary mode, no offset", b'{"tenant": "customer-a", "sku": "DAAS-PREM-T1"}', "bad_time",
        binary("binary-2", time="2025-03-15T12:00:00")),
    one("binary mode, no JSON", b"nonsense", "not_json", binary("binary-3")),
    one("binary mode without attributes", raw("binary-4"), "missing_member", typed(DATA)),
    one("a header without a value", b'{"sku": "DAAS-PREM-T1"}', "wrong_type",
        [*(h for h in binary("binary-5") if h[0] != "ce_id"), ("ce_id", None)]),
    whole("a control record that cannot be read", b"nonsense", "bad_control", typed(CONTROL_TYPE)),
    whole("a control record without value", None, "bad_control", typed(CONTROL_TYPE)),
    whole("close 0", b'{"kind":"close","number":0}', "bad_control", typed(CONTROL_TYPE)),
    whole("a close that never began", b'{"kind":"close","number":99}', "bad_control", typed(CONTROL_TYPE)),
    whole("an unknown kind", b'{"kind":"end","number":1}', "bad_control", typed(CONTROL_TYPE)),
    Bad(
        "an array that says to be a replay", packed(raw("forged-1"), b"{}", raw("forged-2")),
        [("rollcall-origin", b"forged/0/5/0"), ("rollcall-replay", b"1")],
        [(1, "missing_member", b"{}")], ("forged-1", "forged-2"),
    ),
    *(
        one(f"a replay of {origin!r}, number {number!r}", b'{"forged": %d}' % place, "missing_member",
            [("rollcall-origin", origin), ("rollcall-replay", number)])
        for place, (origin, number) in enumerate([
            (b"nonsense", b"1"), (b"t/0/1", b"1"), (b"t/-1/1/0", b"1"), (b"t/0/99999999999999999999999/0", b"1"),
            (b"t/0/1/0", b"0"), (b"t/0/1/0", b"-1"), (b"t/0/1/0", b"99999999999"), (b"\xff/0/1/0", b"1"),
            (b"t/0/1/0", None), (None, b"1"),
        ])
    ),
]  # fmt: skip


def reset(settings: Settings) -> None:
    """Makes the group read the topic from its start, once its last worker's session is over."""
    starts = {
        TopicPartition(settings.kafka.topic, p): OffsetAndMetadata(0, "", -1)
        for p in range(describe(settings).partitions)
    }
    with admin_client(kafka_python_options(settings.kafka)) as admin:

        def done() -> bool:
            return set(admin.alter_group_offsets(FIRST.group(settings.kafka), starts).values()) == {NoError}

        assert wait_until(done, 60)


def test_bad_input_is_set_aside_once_and_costs_no_neighbour(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(kafka={"partitions": 1})
    topic_id = describe(settings).topic_id
    records: list[tuple[bytes | None, Headers]] = []
    for number, bad in enumerate(BAD):
        records += [(bad.value, bad.headers), (raw(f"beside-{number}"), typed(STRUCTURED))]
    places = send(settings, records)
    expected = {
        Origin(topic_id, 0, sent.offset, place): (reason, value)
        for bad, sent in zip(BAD, places[::2], strict=True)
        for place, reason, value in bad.refused
    }
    names = {places[2 * n].offset: bad.what for n, bad in enumerate(BAD)}
    drain(settings)

    with connect(settings) as client:
        def entries() -> dict[Origin, str]:
            found = desk.list_entries(client, limit=10_000)
            assert {(e.state, e.replay) for e in found} == {(State.quarantined, 0)}
            assert len(found) == len({e.origin for e in found}) == desk.total(client)
            return {e.origin: e.reason for e in found}

        wanted = {origin: reason for origin, (reason, _) in expected.items()}
        found = entries()
        assert {(names[o.offset], o.place, r) for o, r in found.items()} == {
            (names[o.offset], o.place, r) for o, r in wanted.items()
        }
        assert found == wanted
        kept = {each.origin: each.value for each in scan(settings, LONG_AGO)}
        assert kept == {origin: value for origin, (_, value) in expected.items()}
        everybody = spelled(
            [f"beside-{number}" for number in range(len(BAD))] + [user for bad in BAD for user in bad.good]
        )
        assert counted(client) == everybody

        reset(settings)
        drain(settings)
        assert entries() == wanted
        assert counted(client) == everybody
        kept_twice = [each.origin for each in scan(settings, LONG_AGO)]
        assert sorted(kept_twice) == sorted([*expected, *expected]), "the re-read did not read everything again"


def test_show_gives_bytes_and_headers_as_they_came(settings: Settings, client: Client) -> None:
    data = b'{"tenant": "customer-a", "sku": "NO-SUCH"}'
    [whole_record] = send(settings, [(data, [*binary("shown"), ("traceparent", b"00-1")])], partition=3)
    [in_array] = send(settings, [(packed(raw("x"), b'{"a" : 1}'), typed(BATCH))], partition=2)
    drain(settings)
    topic_id = describe(settings).topic_id
    shown = desk.show(settings, client, Origin(topic_id, 3, whole_record.offset, 0), ASKER)
    assert (shown.value, list(shown.headers)) == (data, [*binary("shown"), ("traceparent", b"00-1")])
    assert shown.entry.reason == "unknown_sku"
    assert shown.entry.source == "/citrix/tokyo-1"
    assert shown.entry.event_time == datetime(2025, 3, 15, 3, tzinfo=UTC)
    element = desk.show(settings, client, Origin(topic_id, 2, in_array.offset, 1), ASKER)
    assert (element.value, list(element.headers)) == (b'{"a" : 1}', list(typed(STRUCTURED)))
    with pytest.raises(CheckFailed, match=r"no event .* was ever set aside"):
        desk.show(settings, client, Origin(topic_id, 0, 12345, 0), ASKER)


def test_a_replay_after_the_catalogue_was_mended_counts_in_the_events_own_month(
    settings: Settings, client: Client, example_catalogue: str
) -> None:
    data = {"product": "Design Desktop"}
    send(settings, [(raw("alice", data=data), typed(STRUCTURED)), (raw("good"), typed(STRUCTURED))])
    send(settings, [(packed(raw("bob", data=data), raw("fine")), typed(BATCH))], partition=1)
    send(settings, [(json.dumps(data).encode(), binary("carol", time="2025-04-01T00:00:00+09:00"))], partition=2)
    send(settings, [(raw("dave", data={"product": "No Such Desktop"}), typed(STRUCTURED))], partition=3)
    drain(settings)
    drain_again = run_worker(settings)
    assert drain_again.code == 0
    assert counted(client) == spelled(["good", "fine"])
    before = desk.list_entries(client)
    assert [e.reason for e in before] == ["unknown_product"] * 4
    [dave] = [e.origin for e in before if "No Such" in e.detail]
    assert desk.waive(client, desk.Selection((dave,))) == 1
    assert desk.waive(client, desk.Selection((dave,))) == 0
    [waived] = desk.list_entries(client, state=State.waived)
    assert (waived.origin, waived.reason) == (dave, "unknown_product")

    # Not mended yet: everything that is not waived comes back under the next number.
    report = desk.replay(settings, client, desk.Selection(states=(State.quarantined,)), print)
    assert (report.sent, report.missing, report.too_large, report.controls) == (3, (), (), ())
    assert {(t.state, t.reason, t.events) for t in desk.summary(client)} == {
        (State.replayed, "unknown_product", 3), (State.waived, "unknown_product", 1)
    }  # fmt: skip
    assert desk.replay(settings, client, desk.Selection(states=(State.quarantined,)), print).sent == 0
    drain(settings)
    again = desk.list_entries(client, state=State.quarantined)
    assert {e.origin for e in again} == {e.origin for e in before} - {dave}
    assert [e.replay for e in again] == [1, 1, 1]
    assert [e.append_time for e in again] == [e.append_time for e in before if e.origin != dave]

    apply(settings, client, example_catalogue.replace("\nproducts:", f"\nproducts:{PRODUCT_MAPPED}", 1))
    report = desk.replay(settings, client, desk.Selection(), print)
    assert report.sent == 4
    drain(settings)
    assert counted(client) == spelled(["good", "fine", "alice", "bob"])
    assert counted(client, "2025-04-01") == spelled(["carol"])
    after = {e.origin: (e.state, e.replay) for e in desk.list_entries(client)}
    assert after == {e.origin: (State.counted, 2) for e in before if e.origin != dave} | {
        dave: (State.quarantined, 1)
    }
    with pytest.raises(CheckFailed, match="no event that waits"):
        desk.replay(settings, client, desk.Selection((before[0].origin, next(o for o in after if o != dave))), print)

    reset(settings)
    drain(settings)
    assert {e.origin: (e.state, e.replay) for e in desk.list_entries(client)} == after
    assert counted(client) == spelled(["good", "fine", "alice", "bob"])


def test_selections(settings: Settings, client: Client) -> None:
    send(settings, [
        (raw("a", source="one", time="2025-03-31T14:59:59Z", data={"product": "p"}), []),
        (raw("b", source="two", time="2025-05-15T00:00:00Z", data={"product": "p"}), []),
        (raw("c", source="two", time="never"), []),
        (b"nonsense", []),
    ])  # fmt: skip
    drain(settings)

    def found(**filters: Any) -> list[tuple[str, str]]:
        entries = desk.list_entries(client, **filters)
        assert desk.total(client, **filters) == len(entries)
        return sorted((e.source, e.reason) for e in entries)

    assert found(source="two") == [("two", "bad_time"), ("two", "unknown_product")]
    assert found(reason="not_json") == [("unknown", "not_json")]
    assert found(month=parse_month("2025-03")) == [("one", "unknown_product")]
    assert found(month=parse_month("2025-04")) == [("one", "unknown_product")], "in some zone it is April already"
    assert found(month=parse_month("2025-05"), source="two") == [("two", "unknown_product")]
    assert found(month=parse_month("2025-02")) == []
    unreadable = [("two", "bad_time"), ("unknown", "not_json")]
    now = datetime.now(UTC).date().replace(day=1)
    assert found(month=now) == unreadable
    assert found(month=_month_before(now)) == unreadable
    assert found(month=_month_before(_month_before(_month_before(now)))) == []
    assert len(desk.list_entries(client, limit=2)) == 2


def _month_before(month: Any) -> Any:
    return month.replace(year=month.year - 1, month=12) if month.month == 1 else month.replace(month=month.month - 1)


def test_what_came_compressed_and_large_goes_both_ways(settings: Settings, client: Client) -> None:
    big = raw("big", data={"product": "Design Desktop"})[:-1] + b', "x": "' + b"x" * (6 << 20) + b'"}'
    send(settings, [(big, typed(STRUCTURED)), (raw("good"), [])], compression_type="gzip")
    drain(settings)
    assert counted(client) == spelled(["good"])
    [entry] = desk.list_entries(client)
    assert entry.reason == "unknown_product"
    assert desk.show(settings, client, entry.origin, ASKER).value == big
    assert desk.replay(settings, client, desk.Selection(), print).sent == 1
    drain(settings)
    [entry] = desk.list_entries(client)
    assert (entry.state, entry.replay) == (State.quarantined, 1)


def set_aside(settings: Settings, client: Client, *events: Refused) -> None:
    """As the worker does it, without a worker."""

    async def sent() -> None:
        quarantine = Quarantine(settings)
        await quarantine.set_aside(events)
        await quarantine.stop()

    asyncio.run(sent())
    folded = Folded()
    folded.refused += events
    [block] = blocks(folded, "topic", 0, MonthlyPseudonyms(Keys({FIRST_MONTH: bytes(32)})), Cache(1000))
    client.insert(block.table, block.columns, block.names, column_oriented=True)


def refused(place: int, value: bytes, replay: int = 0) -> Refused:
    origin = Origin("topic", 0, place, 0)
    now = int(datetime.now(UTC).timestamp() * 1000)
    return Refused(origin, replay, value, typed(STRUCTURED), Refusal("unknown_product", "…"), None, now)


def test_what_the_topics_do_not_have_or_take_is_reported(settings: Settings, client: Client) -> None:
    noise = random.Random(3).randbytes(2 << 20)
    set_aside(settings, client, refused(1, b"small"), refused(2, noise), refused(1, b"small"))
    gone = Origin("topic", 0, 3, 0)
    client.insert(
        "quarantine", [(*gone, (0, 1, "not_json", "…"), "s", None, datetime.now(UTC))],
        ("topic_id", "partition", "offset", "place", "latest", "source", "event_time", "append_time"),
    )  # fmt: skip
    report = desk.replay(settings, client, desk.Selection(), print)
    assert (report.sent, report.missing, report.too_large) == (1, (gone,), (Origin("topic", 0, 2, 0),))
    states = {e.origin.offset: e.state for e in desk.list_entries(client)}
    assert states == {1: State.replayed, 2: State.quarantined, 3: State.quarantined}
    with pytest.raises(CheckFailed, match="no longer holds"):
        desk.show(settings, client, gone, ASKER)
    assert [each.value for each in log(settings)] == [b"small"]
    # An origin that was sent and never arrived may be sent again, under the same number.
    assert desk.replay(settings, client, desk.Selection((Origin("topic", 0, 1, 0),)), print).sent == 1
    assert [dict(each.headers)["rollcall-replay"] for each in log(settings)] == [b"1", b"1"]


def test_a_replay_that_dies_before_it_stored_is_run_again(
    settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"product": "Design Desktop"}
    send(settings, [(raw(f"u{n}", data=data), []) for n in range(5)])
    drain(settings)
    monkeypatch.setattr(replays, "CHUNK_EVENTS", 2)
    insert, calls = client.insert, 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return insert(*arguments, **options)

    monkeypatch.setattr(client, "insert", dying)
    with pytest.raises(KeyboardInterrupt):
        desk.replay(settings, client, desk.Selection(), print)
    monkeypatch.undo()
    assert len(desk.list_entries(client, state=State.replayed)) == 2
    assert desk.replay(settings, client, desk.Selection(), print).sent == 3
    assert len(log(settings)) - 5 == 2 + 2 + 3, "two went twice"
    drain(settings)
    entries = desk.list_entries(client)
    assert [(e.state, e.replay) for e in entries] == [(State.quarantined, 1)] * 5


def log(settings: Settings) -> list[Any]:
    """The records of `logins` that are no control records."""
    with closing(KafkaConsumer(**kafka_python_options(settings.kafka), auto_offset_reset="earliest")) as consumer:
        partitions = [TopicPartition(settings.kafka.topic, p) for p in range(describe(settings).partitions)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []

        def read() -> bool:
            found.extend(record for records in consumer.poll(200).values() for record in records)
            return all(consumer.position(each) >= end for each, end in ends.items())

        assert wait_until(read, 20)
        return [record for record in found if ("content-type", CONTROL_TYPE) not in record.headers]


def committed(settings: Settings) -> int:
    """The group's offset in partition 0; 0 when it committed none."""
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        offsets = admin.list_group_offsets({FIRST.group(settings.kafka): None})[FIRST.group(settings.kafka)]
        at = offsets.get(TopicPartition(settings.kafka.topic, 0))
        return max(0, at.offset) if at is not None else 0


def test_the_cap_stops_the_worker_until_it_is_lifted(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(
        kafka={"partitions": 1}, worker={"quarantine_sample": 40, "quarantine_ratio": 0.5, "max_poll_records": 20}
    )
    bad = (raw("x", source="/bad", specversion="0.3"), typed(STRUCTURED))
    send(settings, [(raw(f"early-{n}"), typed(STRUCTURED)) for n in range(30)])
    before = send(settings, [bad] * 30 + [(raw("between"), typed(STRUCTURED))] + [bad] * 30)
    outcome = run_worker(settings)
    assert outcome.code == 1, outcome.said
    assert "source '/bad'" in outcome.said
    assert "rollcall quarantine lift" in outcome.said
    assert "Traceback" not in outcome.said
    with connect(settings) as client:
        # The 40th event of the source tripped it: nothing of that batch is stored, nothing of it committed.
        stood = len(desk.list_entries(client, limit=1000))
        assert stood < 40
        assert committed(settings) <= before[stood].offset
        [trip] = desk.tripped(client)
        assert (trip.source, trip.number) == ("/bad", 1)
        assert trip.refused == trip.events >= 40

        outcome = run_worker(settings)
        assert outcome.code == 1, "the next start refuses"
        assert "source '/bad'" in outcome.said
        assert len(desk.list_entries(client, limit=1000)) == stood

        with pytest.raises(CheckFailed, match=r"'/good' did not trip.*these did: '/bad'"):
            desk.lift(settings, client, "/good")
        assert desk.lift(settings, client, "/bad") == trip
        with pytest.raises(CheckFailed, match="no source did"):
            desk.lift(settings, client, "/bad")

        # What stood in the log passes, with good events right behind it; what comes later is judged anew.
        send(settings, [(raw("late"), typed(STRUCTURED))] + [bad] * 30)
        drain(settings)
        assert desk.total(client, source="/bad") == 90
        assert counted(client) == spelled([*(f"early-{n}" for n in range(30)), "between", "late"])
        send(settings, [bad] * 60)
        assert run_worker(settings).code == 1
        assert [(t.source, t.number) for t in desk.tripped(client)] == [("/bad", 3)]
        desk.lift(settings, client, "/bad")
        drain(settings)
        assert desk.total(client, source="/bad") == 150

        # Replays do not count.
        assert desk.replay(settings, client, desk.Selection(), print).sent == 150
        drain(settings)
        assert desk.tripped(client) == []
        assert {(t.state, t.events) for t in desk.summary(client)} == {(State.quarantined, 150)}
