"""What must be stored, read from the log itself, and what is stored; compared both ways.

The log says which events there are (a producer that was killed may have sent some of its last ones or not); the
generator says what each of them means. Control records of closes decide `recorded_in`, by place.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from kafka import KafkaConsumer, TopicPartition

from infra.kafka.connection import kafka_python_options
from infra.pseudonyms import Pseudonyms
from schemas.control import CONTROL_TYPE
from schemas.quarantine import Origin
from schemas.settings import Settings
from schemas.source_report import REPORT_TYPE
from stream_jobs.dedup.replay import ORIGIN
from tests.faults.logins import Login, Logins

Member = tuple[date, str, str, bytes]
"""Month, tenant, SKU, subject."""
Place = tuple[int, int, int]
"""Partition, offset, index in the record's array (0 for a record with one event)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """The columns of a row, each a join: the first event (µs, source, id), the days as bits, the close number."""

    first: tuple[int, str, str]
    days: int
    recorded_in: int

    def join(self, other: Row) -> Row:
        return Row(min(self.first, other.first), self.days | other.days, min(self.recorded_in, other.recorded_in))

    def covers(self, other: Row) -> bool:
        """Nothing of the other is missing here."""
        return self.join(other) == self


@dataclass
class State:
    """Rows and quarantined places: what should be there, or what is."""

    rows: dict[Member, Row] = field(default_factory=dict)
    aside: set[Place] = field(default_factory=set)
    kept: set[Place] | None = None
    """Whose bytes are in `logins.quarantine`; None: nobody has looked."""


@dataclass
class Record:
    """What one record of the log must leave behind."""

    offset: int
    rows: list[tuple[Member, Row]]
    aside: list[Place]

    def stored_in(self, state: State) -> bool:
        return self.missing_in(state) == 0

    def missing_in(self, state: State) -> int:
        lacking = [m for m, row in self.rows if (found := state.rows.get(m)) is None or not found.covers(row)]
        return len(lacking) + sum(place not in state.aside for place in self.aside)


class Log:
    """The topic as the suite reads it, from its start on. Not for two threads at once."""

    def __init__(self, settings: Settings, logins: Logins, key: bytes) -> None:
        self._settings, self._logins, self._pseudonyms = settings, logins, Pseudonyms(key)
        self._consumer: Any = None
        self._partitions = [TopicPartition(settings.kafka.topic, p) for p in range(settings.kafka.partitions)]
        self._close = dict.fromkeys(range(settings.kafka.partitions), 0)
        self.next = dict.fromkeys(range(settings.kafka.partitions), 0)
        """By partition, the offset that is read next."""
        self.expected = State()
        """The fold of everything read so far."""
        self.unverified: dict[int, deque[Record]] = {p: deque() for p in range(settings.kafka.partitions)}
        """Records that no commit was seen to pass yet."""
        self.closes: dict[int, dict[int, int]] = {}
        """By close number and partition, the offset of the control record."""
        self.events = 0

    def ends(self) -> dict[int, int]:
        """Raises KafkaError when Kafka is away."""
        ends = self._connected().end_offsets(self._partitions)
        return {tp.partition: end for tp, end in ends.items()}

    def read_on(self) -> dict[int, int]:
        """Reads to the end as it stands now; returns the ends. Raises KafkaError; what was read stays read."""
        consumer, ends = self._connected(), self.ends()
        while any(self.next[p] < end for p, end in ends.items()):
            for tp, records in consumer.poll(timeout_ms=300).items():
                for record in records:
                    self._take(tp.partition, record)
        return ends

    def forget_connection(self) -> None:
        """After an error; the next question connects anew."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):
                consumer.close(autocommit=False)

    def subject(self, tenant: str, canonical: str) -> bytes:
        return self._pseudonyms.of(tenant, canonical)

    def row_of(self, login: Login, close: int) -> tuple[Member, Row]:
        member = (login.month, login.tenant, login.sku, self.subject(login.tenant, login.canonical))
        return member, Row(login.first, 1 << login.day, close)

    def _connected(self) -> Any:
        if self._consumer is None:
            self._consumer = KafkaConsumer(
                **kafka_python_options(self._settings.kafka), enable_auto_commit=False, fetch_max_wait_ms=50,
                request_timeout_ms=8_000, metadata_max_age_ms=5_000,
            )
            self._consumer.assign(self._partitions)
            for tp in self._partitions:
                self._consumer.seek(tp, self.next[tp.partition])
        return self._consumer

    def _take(self, partition: int, record: Any) -> None:
        self.next[partition] = record.offset + 1
        if dict(record.headers).get("content-type") == CONTROL_TYPE:
            control = json.loads(record.value)
            if control["kind"] == "close":
                self._close[partition] = max(self._close[partition], control["number"])
                self.closes.setdefault(control["number"], {}).setdefault(partition, record.offset)
            return
        if dict(record.headers).get("content-type") == REPORT_TYPE:
            return
        found = Record(record.offset, [], [])
        for place, element in _elements(record.value):
            login = self._logins.meaning(element)
            self.events += 1
            if login is None:
                found.aside.append((partition, record.offset, place))
                self.expected.aside.add(found.aside[-1])
                continue
            member, row = self.row_of(login, self._close[partition])
            found.rows.append((member, row))
            known = self.expected.rows.get(member)
            self.expected.rows[member] = row if known is None else known.join(row)
        self.unverified[partition].append(found)


def _elements(value: bytes) -> Iterable[tuple[int, Any]]:
    try:
        parsed = json.loads(value)
    except ValueError:
        return [(0, value.decode())]
    return enumerate(parsed) if isinstance(parsed, list) else [(0, parsed)]


def stored(client: Client) -> State:
    """What ClickHouse holds now."""
    rows = client.query(
        "SELECT month, tenant, sku, subject, min(first_event), groupBitOr(active_days), min(recorded_in)"
        " FROM active_users GROUP BY month, tenant, sku, subject"
    ).result_rows
    aside = client.query("SELECT partition, offset, place FROM quarantine FINAL").result_rows
    state = State({(m, t, s, bytes(u)): Row(_first(first), days, close) for m, t, s, u, first, days, close in rows})
    state.aside = set(aside)
    assert len(state.aside) == len(aside), "an event is set aside twice"
    return state


def kept_aside(settings: Settings, logins: Logins) -> set[Place]:
    """Where the events stood whose bytes `logins.quarantine` holds. AssertionError for bytes that should count."""
    topic, found = settings.kafka.quarantine_topic, set[Place]()
    consumer = KafkaConsumer(**kafka_python_options(settings.kafka), enable_auto_commit=False, fetch_max_wait_ms=50)
    try:
        consumer.assign([TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)])
        ends = consumer.end_offsets(consumer.assignment())
        consumer.seek_to_beginning()
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for records in consumer.poll(timeout_ms=300).values():
                for record in records:
                    [(_, element)] = _elements(record.value)
                    with suppress(KeyError):  # sent long ago, and forgotten by the generator
                        assert logins.meaning(element) is None, "a login that counts was set aside"
                    origin = Origin.parse(dict(record.headers)[ORIGIN].decode())
                    found.add((origin.partition, origin.offset, origin.place))
    finally:
        consumer.close(autocommit=False)
    return found


def _first(value: Any) -> tuple[int, str, str]:
    time, source, name = (value[n] for n in ("time", "source", "id")) if isinstance(value, dict) else value
    moment = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1), source, name


@dataclass(frozen=True)
class Difference:
    """`missing` and `extra` are users; `wrong` are rows with another first event, other days or close number."""

    missing: int = 0
    extra: int = 0
    wrong: int = 0
    not_aside: int = 0
    """Bad events that are not set aside."""
    wrongly_aside: int = 0
    not_kept: int = 0
    """Events set aside whose bytes are not in `logins.quarantine`, or the other way round."""

    @property
    def aside_wrongly(self) -> int:
        return self.not_aside + self.wrongly_aside + self.not_kept

    def __bool__(self) -> bool:
        return any((self.missing, self.extra, self.wrong, self.aside_wrongly))


def compare(expected: State, found: State) -> Difference:
    both = expected.rows.keys() & found.rows.keys()
    return Difference(
        missing=len(expected.rows) - len(both), extra=len(found.rows) - len(both),
        wrong=sum(expected.rows[member] != found.rows[member] for member in both),
        not_aside=len(expected.aside - found.aside), wrongly_aside=len(found.aside - expected.aside),
        not_kept=0 if found.kept is None else len(found.kept ^ expected.aside),
    )  # fmt: skip


def lowest_unstored(log: Log, committed: dict[int, int], state: Callable[[], State]) -> list[tuple[int, int, int]]:
    """Where a commit has passed an event that is not stored: (partition, lowest such offset, committed).

    `committed` must have been asked before `state` is called. The store only grows (every column is a join), so what
    was stored when an offset was committed is still stored when the rows are read later, and whatever is missing then
    was missing at the commit. The other way round a commit between the two questions would be a false alarm.
    """
    passed = {p: [r for r in log.unverified[p] if r.offset < committed.get(p, 0)] for p in log.unverified}
    if not any(passed.values()):
        return []
    found, broken = state(), []
    for partition, records in passed.items():
        lowest = next((record.offset for record in records if not record.stored_in(found)), None)
        if lowest is not None:
            broken.append((partition, lowest, committed[partition]))
        while log.unverified[partition] and log.unverified[partition][0].offset < committed.get(partition, 0):
            log.unverified[partition].popleft()
    return broken
