"""A source falls silent and the close says so; what sources report is stored, seen, and harmless when read again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client
from kafka import KafkaProducer

from infra.clickhouse.client import connect
from infra.kafka.connection import kafka_python_options
from producers.client import LoginProducer
from producers.gateway.link import Link
from producers.gateway.spool import Spool
from producers.in_hand import InHand
from producers.source_reports import Reporter
from schemas.settings import Settings
from schemas.source_report import REPORT_TYPE, SourceReport
from tests.integration.command import inside, rollcall

CATALOGUE = """
programmes: {csp: {time_zone: Asia/Tokyo}}
tenants: [{id: a, name: A}]
skus: [{id: S, name: S, programme: csp, family: f, deployment: cloud}]
agreements:
  - {id: jp, programme: csp, partner: {name: P}, distributor: {name: D}, contract_date: 2026-01-01,
     silent_sources: block}
sources:
  - {source: /broker, kind: push, rhythm: {silent_after: 6h, days: [mon, tue, wed, thu, fri], from: "08:00",
     to: "20:00", zone: Asia/Tokyo}}
  - {source: /ended, kind: push, valid_to: 2026-10-01, rhythm: {silent_after: 1h}}
  - {source: /gateway, kind: gateway}
"""
TOKYO = ZoneInfo("Asia/Tokyo")
DARK = datetime(2026, 10, 16, 16, tzinfo=TOKYO), datetime(2026, 10, 19, 11, tzinfo=TOKYO)
"""Friday afternoon to Monday noon: 4 + 3 expected hours."""
BEGIN = datetime(2026, 10, 1, 0, 30, tzinfo=TOKYO)
HOURS = [time for h in range(31 * 24) if (time := BEGIN + timedelta(hours=h)).weekday() < 5 and 8 <= time.hour < 20]


def push(settings: Settings, times: list[datetime]) -> None:
    with LoginProducer(settings.kafka) as producer:
        for time in times:
            event = {
                "specversion": "1.0", "id": f"{time:%d%H}", "source": "/broker", "type": "rollcall.login.v1",
                "time": time.isoformat(), "subject": "alice", "data": {"tenant": "a", "sku": "S"},
            }  # fmt: skip
            producer.send_bytes(json.dumps(event).encode(), "alice")


def write_report(settings: Settings, value: bytes) -> None:
    producer = KafkaProducer(**kafka_python_options(settings.kafka), acks="all")
    producer.send(settings.kafka.topic, value, partition=0, headers=[("content-type", REPORT_TYPE)]).get(timeout=10)
    producer.close()


def closed(settings: Settings, client: Client) -> tuple[str, dict[str, Any]]:
    """What a close said, and the newest draft's findings by their id."""
    outcome = rollcall(settings, "close", "2026-10", "--drain")
    assert outcome.code == 0, outcome.err
    [[draft]] = client.query("SELECT argMax(json, draft) FROM reports WHERE month = '2026-10-01'").result_rows
    return outcome.err, {finding["id"]: finding for finding in json.loads(draft)["findings"]}


def stored(client: Client) -> list[Any]:
    return [
        client.query(f"SELECT {columns} FROM {table} FINAL ORDER BY ALL").result_rows
        for table, columns in (("source_reports", "*"), ("source_activity", "*"))
    ]


def test_a_source_falls_silent_and_the_close_says_so(make_settings: Any, tmp_path: Any) -> None:
    settings: Settings = make_settings(CATALOGUE, kafka={"partitions": 2})
    client = connect(settings)
    push(settings, [time for time in HOURS if not DARK[0] <= time < DARK[1]])
    write_report(settings, b'{"source":"/gateway","kind":"watermark","at":"2026-11-01T00:00:00Z"}')

    now, early = datetime.now(UTC), datetime(2026, 10, 31, 14, 59, 59, tzinfo=UTC)
    with LoginProducer(settings.kafka) as producer:
        producer.report(SourceReport(source="/gateway", kind="watermark", at=now, complete_to=early, spool_bytes=0))
        producer.report(SourceReport(source="/broker", kind="heartbeat", at=now, refused=3))
        producer.report(SourceReport(source="/broker", kind="heartbeat", at=now))  # knows nothing of it

    said, findings = closed(settings, client)
    assert set(findings) == {"silent_source:/broker", "refused_records:/broker", "no_watermark:/gateway"}
    assert "/broker had 3 records that could not be read as logins" in findings["refused_records:/broker"]["text"]
    assert findings["refused_records:/broker"]["severity"] == "blocking"
    assert "source /broker had 3 records that could not be read" in said
    assert client.query("SELECT refused FROM sources WHERE source = '/broker'").result_rows == [(3,)]
    silent = findings["silent_source:/broker"]
    assert silent["severity"] == "blocking"
    assert "for 7h of its expected hours" in silent["text"]
    assert "(2026-10-16 16:00 to 2026-10-19 11:00, Asia/Tokyo)" in silent["text"]
    assert "source /gateway has told that all is sent until 2026-10-31 14:59Z only" in said
    aside = client.query("SELECT source, reason, events FROM quarantine_by_reason").result_rows
    assert aside == [("/gateway", "bad_report", 1)]

    # What the broker kept is pushed, and the gateway has sent all that it was given.
    push(settings, HOURS)
    with LoginProducer(settings.kafka) as producer:
        producer.report(SourceReport(source="/broker", kind="heartbeat", at=datetime.now(UTC), refused=0))
    spool = Spool(tmp_path / "spool", 1 << 20)
    link = Link(settings.kafka, spool, answer_seconds=5, buffer_bytes=1 << 20)
    link.start()
    link.spoke_for = {"/broker"}
    reporter = Reporter("/gateway", link, spool, InHand())
    reporter.start()
    reporter.close()
    link.close()
    spool.close()
    said, findings = closed(settings, client)
    assert findings == {}
    assert "/gateway" not in said
    assert client.query("SELECT max(revision) FROM seals").result_rows == [(1,)]

    rows = client.query(
        "SELECT source, declared, last_event, complete_to >= {now:DateTime64(6)}, spool_bytes, last_report IS NOT NULL,"
        " delay_min_ms > 0 FROM sources ORDER BY source", parameters={"now": now},
    ).result_rows  # fmt: skip
    assert rows == [
        ("/broker", True, datetime(2026, 10, 30, 10), None, 0, True, True),
        ("/gateway", True, None, True, 0, True, None),
    ]
    longest = client.query(
        "SELECT silent_from, silent_to FROM source_gaps WHERE source = '/broker' AND NOT goes_on ORDER BY hours DESC"
    ).result_rows[0]
    assert longest == (datetime(2026, 10, 2, 11), datetime(2026, 10, 4, 23))

    picture = inside(settings, "status", "--format", "json")
    [broker, gateway] = json.loads(picture.out)["sources"]
    assert (broker["source"], broker["silent"], gateway["silent"]) == ("/broker", True, False)

    # The whole log again, by a worker that knows nothing: every column is a join.
    before = stored(client)
    outcome = rollcall(settings, "worker", "--drain", ROLLCALL_KAFKA_GROUP=f"{settings.kafka.group}x")
    assert outcome.code == 0, outcome.err
    assert stored(client) == before
