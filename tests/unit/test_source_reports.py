"""What sources say of themselves: read, folded beside the events, and said; and who a batch was heard of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from infra.errors import OutOfReach
from producers import source_reports
from producers.in_hand import InHand
from producers.source_reports import Reporter, as_error
from schemas.calendar import EPOCH
from schemas.catalogue import parse_catalogue
from schemas.quarantine import Refusal
from schemas.source_report import MAX_ERROR, REPORT_TYPE, SourceReport, read_report
from stream_jobs.dedup import heard
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.fold import Folded, Folder
from stream_jobs.dedup.resolve import Resolver
from tests.unit.logins import NOW_MS, TOPIC_ID, Kept, batch, control, login, raw

CATALOGUE = parse_catalogue("""
programmes: {p: {time_zone: Asia/Tokyo}}
tenants: [{id: customer-a, name: A}]
skus: [{id: DAAS-PREM-T1, name: D, programme: p, family: f, deployment: cloud}]
""")
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


def report(offset: int, **given: object) -> Kept:
    said = {"source": "/a", "kind": "heartbeat", "at": NOW.isoformat(), **given}
    return Kept(offset, raw(said), [("content-type", REPORT_TYPE)])


def folded(*records: Kept) -> tuple[Batch, Folded]:
    whole = batch(records)
    resolver = Resolver(1, CATALOGUE, date(2020, 1, 1), Cache(1000))
    return whole, Folder(TOPIC_ID, 600.0, lambda _: resolver, 1, 0).fold(whole)


@pytest.mark.parametrize(("value", "why"), [
    (b"", "character 0"),
    (b"[]", "valid dictionary"),
    (raw({"source": "/a", "kind": "heartbeat"}), "at: Field required"),
    (raw({"source": "/a", "kind": "heartbeat", "at": "2026-11-01T00:00:00"}), "no offset"),
    (raw({"source": "/a", "kind": "watermark", "at": "2026-11-01T00:00:00Z"}), "complete_to is what a watermark says"),
    (raw({"source": "/a", "kind": "heartbeat", "at": "2026-11-01T00:00:00Z", "user": "alice"}), "user: Extra inputs"),
    (raw({"source": "/a", "kind": "heartbeat", "at": "1969-12-31T00:00:00Z"}), "outside of the years"),
])  # fmt: skip
def test_what_is_no_report(value: bytes, why: str) -> None:
    with pytest.raises(Refusal, match=why) as caught:
        read_report(value)
    assert caught.value.reason == "bad_report"


def test_a_report_is_read_as_it_was_written() -> None:
    said = SourceReport(source="/a", kind="watermark", at=NOW, complete_to=NOW, spool_bytes=0, polled=NOW, error="x")
    assert read_report(said.to_json()) == said


def test_reports_stand_beside_events_and_know_the_close_before_them() -> None:
    event = Kept(1, raw(login(time="2026-10-31T12:00:00Z")))
    future = (NOW + timedelta(minutes=11)).isoformat()
    _, found = folded(
        report(0), event, control(2, "close", 3), report(3, refused=7), report(4, at=future),
        report(5, kind="watermark", complete_to=future), Kept(6, b"{", [("content-type", REPORT_TYPE)]),
    )  # fmt: skip
    assert [(placed.offset, placed.close) for placed in found.reports] == [(0, 0), (3, 3)]
    assert [(refused.origin.offset, refused.refusal.reason) for refused in found.refused] == [
        (4, "bad_report"), (5, "bad_report"), (6, "bad_report"),
    ]  # fmt: skip
    assert found.events() == {"/citrix/tokyo-1": 1}
    stored = heard.reports(found.reports)
    assert stored.columns[:3] == [["/a", "/a"], ["heartbeat", "heartbeat"], [0, 3]]
    assert stored.columns[5] == [(EPOCH, 0, 0), (NOW, 3, 7)], "what was not said is less than anything that was"


def test_only_what_is_new_is_stored_and_what_was_refused_is_not_heard_of() -> None:
    """A clock of India's: the hour from 09:00 there begins at 03:30 UTC. The last event's clock is a second ahead."""
    ahead = (NOW + timedelta(seconds=1)).isoformat()
    _, found = folded(
        Kept(0, raw(login(time="2026-10-31T09:10:00+05:30"))),
        Kept(1, raw(login(source="/b", data={"tenant": "customer-a", "sku": "NONE"}))), Kept(2, raw(login(time=ahead))),
    )  # fmt: skip
    memory = heard.Heard()
    fresh = memory.fresh(found)
    rows = {(source, day): known for source, day, *known in zip(*heard.activity(fresh).columns, strict=True)}
    late = NOW_MS - int(datetime(2026, 10, 31, 3, 40, tzinfo=UTC).timestamp() * 1000)
    assert rows == {
        ("/citrix/tokyo-1", date(2026, 10, 31)): [1 << 14, late, late],
        ("/citrix/tokyo-1", date(2026, 11, 1)): [1 << 8, -1000, -1000],
    }
    assert memory.fresh(found) == fresh, "what was not acknowledged is stored again"
    memory.learn(found, fresh)
    assert memory.fresh(found) == {}


class Way:
    def __init__(self, up: bool = True) -> None:
        self.up, self.why, self.spoke_for, self.sent = up, "Kafka is away", {"/a", "/b"}, list[SourceReport]()

    def report(self, report: SourceReport) -> None:
        if not self.up:
            raise OutOfReach(self.why)
        self.sent.append(report)


class Store:
    def __init__(self, size: int = 0, too_large: int = 0) -> None:
        self.size, self.too_large = size, too_large


@pytest.mark.parametrize(("up", "size", "kind"), [
    (True, 0, "watermark"), (True, 7, "heartbeat"), (False, 0, "heartbeat"), (False, 7, "heartbeat"),
])  # fmt: skip
def test_all_is_sent_only_when_nothing_waits_and_kafka_acknowledges(up: bool, size: int, kind: str) -> None:
    own, *others = Reporter("/gateway", Way(up), Store(size), InHand(), clock=lambda: NOW).reports()
    assert (own.source, own.kind, own.spool_bytes) == ("/gateway", kind, size)
    assert own.complete_to == (NOW if kind == "watermark" else None)
    assert own.error == ("" if up else "Kafka is away")
    assert [(each.source, each.kind) for each in others] == [("/a", "heartbeat"), ("/b", "heartbeat")]


def test_what_kafka_will_not_take_is_told_and_all_is_not_sent() -> None:
    [own, *_] = Reporter("/gateway", Way(), Store(0, too_large=2), InHand(), clock=lambda: NOW).reports()
    assert (own.kind, own.complete_to) == ("heartbeat", None)
    assert own.error.startswith("2 files of events")


def test_a_watermark_does_not_overtake_what_is_in_hand() -> None:
    hand = InHand()
    held = hand.hold()
    since, at = hand.oldest, datetime.now(UTC) + timedelta(minutes=1)
    reporter = Reporter("/gateway", Way(), Store(), hand, lambda: 4, clock=lambda: at)
    own, *others = reporter.reports()
    assert (own.kind, own.complete_to, own.refused) == ("watermark", since, 4)
    assert {each.refused for each in others} == {None}, "it says nothing of theirs"
    hand.release(held)
    assert reporter.reports()[0].complete_to == at


def test_a_reporter_s_last_word_is_said_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_reports, "EVERY_SECONDS", 30.0)
    way, store = Way(), Store(7)
    reporter = Reporter("/gateway", way, store, InHand(), clock=lambda: NOW)
    reporter.close()  # one that never began
    assert way.sent == []
    reporter = Reporter("/gateway", way, store, InHand(), clock=lambda: NOW)
    reporter.start()
    store.size = 0
    reporter.close()
    assert way.sent[-1].kind == "watermark"


def test_an_error_shows_no_credentials() -> None:
    assert as_error("postgresql://bob:secret@db.example/x: no answer") == "postgresql://…@db.example/x: no answer"
    assert len(as_error("x" * 2000)) == MAX_ERROR
