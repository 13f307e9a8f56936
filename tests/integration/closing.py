"""A dedup job in small, for tests of the close: a consumer that keeps the contract of table and log, no more.

It stores rows with `recorded_in`, then the places of control records, then commits; whatever it has read is known
to the test, which so has the true set of every close.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zlib import crc32

from clickhouse_connect.driver.client import Client
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError

from infra.clickhouse.client import connect
from infra.kafka.connection import admin_client, kafka_python_options
from infra.kafka.topics import describe
from infra.waiting import wait_until
from schemas.settings import Settings

CATALOGUE = """
programmes:
  csp: {time_zone: Asia/Tokyo}
  spla: {time_zone: America/New_York}
tenants:
  - {id: a, name: A}
  - {id: b, name: B}
skus:
  - {id: S1, name: one, programme: csp, family: f, deployment: cloud}
  - {id: S2, name: two, programme: csp, family: f, deployment: cloud}
  - {id: L1, name: lic, programme: spla, family: f, deployment: cloud}
"""
OCTOBER = date(2026, 10, 1)


class Login(NamedTuple):
    tenant: str
    sku: str
    user: str
    month: str = "2026-10"

    @property
    def subject(self) -> bytes:
        return hashlib.sha256(f"{self.tenant}/{self.user}".encode()).digest()[:16]


class World:
    """One Rollcall: push logins, let the job read on, look at what is stored."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: Client = connect(settings)
        self.topic_id = describe(settings).topic_id
        self.group = f"{settings.kafka.group}-g1"

    def push(self, *logins: Login) -> None:
        """Returns when Kafka has acknowledged all of them."""
        producer = KafkaProducer(**kafka_python_options(self.settings.kafka), acks="all")
        partitions = describe(self.settings).partitions
        sent = [
            producer.send(
                self.settings.kafka.topic, json.dumps(login).encode(), partition=crc32(login.user.encode()) % partitions
            )
            for login in logins
        ]
        for future in sent:
            future.get(timeout=10)
        producer.close()

    def read_on(self, *, again: bool = False, commit: bool = True) -> None:
        """Reads to the end of the log as it stands, from what is committed (or from the start), and commits."""
        partitions = [TopicPartition(self.settings.kafka.topic, p) for p in range(describe(self.settings).partitions)]
        consumer = KafkaConsumer(
            **kafka_python_options(self.settings.kafka), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        begun = self.committed()
        for tp in partitions:
            consumer.seek(tp, 0 if again else begun.get(tp.partition, 0))
        records: dict[int, list[Any]] = defaultdict(list)
        while any(consumer.position(tp) < ends[tp] for tp in partitions):
            for tp, found in consumer.poll(timeout_ms=500).items():
                records[tp.partition] += [r for r in found if r.offset < ends[tp]]
        consumer.close()
        for partition, found in records.items():
            self._store(partition, found)
        if commit:
            self.commit({tp.partition: ends[tp] for tp in partitions})

    def _store(self, partition: int, records: list[Any]) -> None:
        closes = self.client.query(
            "SELECT number, min(offset) FROM control_places WHERE topic_id = %(t)s AND partition = %(p)s"
            " AND kind = 'close' GROUP BY number",
            parameters={"t": self.topic_id, "p": partition},
        ).result_rows
        stored, rows, places = dict(closes), [], []
        for record in records:
            value = json.loads(record.value)
            if isinstance(value, dict):
                appended = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                places.append([self.topic_id, value["kind"], partition, value["number"], record.offset, appended])
                if value["kind"] == "close":
                    stored[value["number"]] = min(record.offset, stored.get(value["number"], record.offset))
                continue
            login = Login(*value)
            month = date.fromisoformat(f"{login.month}-01")
            before = max(number for number, offset in stored.items() if offset < record.offset)
            first = (datetime(month.year, month.month, 5, tzinfo=UTC), "/test", f"{partition}-{record.offset}")
            rows.append([month, login.tenant, login.sku, login.subject, first, 1 << 5, before])
        if rows:
            self.client.insert(
                "active_users", rows,
                column_names=["month", "tenant", "sku", "subject", "first_event", "active_days", "recorded_in"],
                settings={"max_partitions_per_insert_block": 0},
            )  # fmt: skip
        if places:
            columns = ["topic_id", "kind", "partition", "number", "offset", "append_time"]
            self.client.insert("control_places", places, column_names=columns)

    def committed(self) -> dict[int, int]:
        with admin_client(kafka_python_options(self.settings.kafka)) as admin:
            found = _coordinated(lambda: admin.list_group_offsets(self.group)[self.group])
        return {tp.partition: o.offset for tp, o in found.items() if o.offset >= 0}

    def commit(self, offsets: dict[int, int]) -> None:
        places = {
            TopicPartition(self.settings.kafka.topic, p): OffsetAndMetadata(at, "", -1) for p, at in offsets.items()
        }
        with admin_client(kafka_python_options(self.settings.kafka)) as admin:
            _coordinated(lambda: admin.alter_group_offsets(self.group, places))

    def sealed(self, number: int) -> set[tuple[str, str, bytes]]:
        """The stored set of a close; fails when a subject is stored twice."""
        rows = self.client.query(
            "SELECT tenant, sku, hex(subject) FROM seal_subjects WHERE close_number = %(n)s", parameters={"n": number}
        ).result_rows
        assert len(rows) == len(set(rows))
        return {(t, s, bytes.fromhex(h)) for t, s, h in rows}


def _coordinated(ask: Callable[[], Any]) -> Any:
    """A new broker first makes the topic of the offsets."""
    answers: list[Any] = []

    def asked() -> bool:
        try:
            answers.append(ask())
        except (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError):
            return False
        return True

    assert wait_until(asked, 20)
    return answers[0]


def truth(*logins: Login) -> set[tuple[str, str, bytes]]:
    return {(login.tenant, login.sku, login.subject) for login in logins if login.month == "2026-10"}


