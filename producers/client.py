"""LoginProducer: login events into Kafka, packed, idempotent, and never called sent before Kafka said so.

    with LoginProducer(settings.kafka) as producer:
        producer.send(event)
        producer.flush()
    # leaving the block flushes too; an error says how many events Kafka did not acknowledge
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from infra.errors import ConfigurationError, OutOfReach, RollcallError
from infra.kafka.connection import kafka_python_options
from producers.packing import Packer, Record, packed, partition_of
from producers.topic import topic_limits
from schemas.event import BATCH, STRUCTURED, LoginEvent
from schemas.quarantine import Refusal
from schemas.settings import KafkaSettings
from schemas.source_report import REPORT_PARTITION, REPORT_TYPE, SourceReport

OVERHEAD = 512
"""More than what Kafka adds to one value: the batch's header (61 bytes), the record's, the content type."""

TOGETHER = 500
"""Events in a record of `send_many` at most: each record costs kafka-python some 0.1 ms, however small it is."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one record: `error` is None when every in-sync replica has it, at `offset`."""

    partition: int
    events: int
    offset: int | None
    error: Exception | None


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Events since the producer was opened; `taken` = acknowledged + failed + still on their way."""

    taken: int
    acknowledged: int
    failed: int

    @property
    def waiting(self) -> int:
        return self.taken - self.acknowledged - self.failed


class LoginProducer:
    """Sends events to `logins`. Thread-safe; memory is bounded by `buffer_bytes` and one open record a partition.

    An event is taken by `send`, and sent when Kafka acknowledged it (`acks=all`, idempotent): ask
    `deliveries()`, pass `on_delivery` (called in Kafka's thread, once a record, must not block), or `flush`.
    An event that failed may still be in the log (an acknowledgement can be lost): send it again, a repeat
    changes no count. The number of partitions is read once: what is added later gets events from the next
    producer on.

    Times are in seconds: `linger` until a record that is not full is closed, `send_seconds` that `send` waits
    for room, `delivery_seconds` until a record without acknowledgement has failed.

    Raises OutOfReach when no broker answers in `connect_seconds`, CheckFailed for a missing topic.
    """

    def __init__(
        self, settings: KafkaSettings, *, pack: int = 100, record_bytes: int = 256 * 1024, linger: float = 0.05,
        buffer_bytes: int = 32 * 1024 * 1024, connect_seconds: float = 10.0, send_seconds: float = 60.0,
        delivery_seconds: float = 60.0, on_delivery: Callable[[Delivery], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._clock, self._on_delivery = settings, clock, on_delivery
        self._buffer_bytes, self._send_seconds, self._delivery_seconds = buffer_bytes, send_seconds, delivery_seconds
        options = kafka_python_options(settings)
        topic = topic_limits(options, settings.topic, connect_seconds)
        self.max_event_bytes = topic.max_message_bytes - OVERHEAD
        """An event of more bytes is refused as too_large."""
        self._partitions = topic.partitions
        self._record_bytes = min(record_bytes, self.max_event_bytes)
        self._packer = Packer(topic.partitions, pack=pack, max_bytes=self._record_bytes, linger=linger)
        _silence_kafka()
        try:
            self._kafka: Any = KafkaProducer(
                **options, acks="all", enable_idempotence=True, linger_ms=5, metrics_enabled=False,
                batch_size=min(topic.max_message_bytes, 512 * 1024), allow_auto_create_topics=False,
                max_request_size=max(topic.max_message_bytes, 1_048_576), reconnect_backoff_max_ms=1000,
                max_block_ms=int(connect_seconds * 1000), bootstrap_timeout_ms=int(connect_seconds * 1000),
                delivery_timeout_ms=int(delivery_seconds * 1000),
                request_timeout_ms=int(min(15.0, delivery_seconds / 2) * 1000),
            )
        except KafkaError as error:
            raise OutOfReach(
                f"Kafka at {settings.bootstrap} does not answer ({_name(error)}): `rollcall up` starts the local "
                f"stack; for another cluster set ROLLCALL_KAFKA_BOOTSTRAP"
            ) from None
        self._lock = threading.RLock()  # the packer
        self._moved = threading.Condition()  # the numbers below
        self._taken = self._acknowledged = self._failed = self._unflushed_failures = 0
        self._bytes_on_their_way = 0
        self._error: Exception | None = None
        self._closed = threading.Event()
        self._ticker = threading.Thread(target=self._tick, args=(max(linger / 2, 0.005),), daemon=True)
        self._ticker.start()

    def send(self, event: LoginEvent) -> None:
        """Takes one event. Blocks while the buffer is full; OutOfReach after `send_seconds` (not taken then).

        Raises Refusal("too_large") for an event that the topic would not take.
        """
        self.send_bytes(event.to_json(), event.subject)

    def send_bytes(self, event: bytes, subject: str) -> None:
        """As `send`, for the bytes of an event that the contract accepts; they are sent exactly as they are."""
        self._check(len(event))
        with self._lock:
            self._taken += 1
            for record in self._packer.add(partition_of(subject, self._partitions), event, self._clock()):
                self._dispatch(record)

    def send_raw(self, value: bytes, subject: str) -> None:
        """As `send`, for bytes that nobody has checked: they travel alone, so they can spoil no neighbour."""
        self._check(len(value))
        with self._lock:
            self._taken += 1
            content_type = BATCH if value.lstrip()[:1] == b"[" else STRUCTURED
            self._dispatch(Record(partition_of(subject, self._partitions), value, content_type, 1))

    def send_many(self, events: Sequence[tuple[bytes, str]], done: Callable[[Exception | None], None]) -> None:
        """As `send_bytes` for each (event, subject), packed among themselves (TOGETHER) and sent at once, not by age.

        `done` is called once, in Kafka's thread or in this one, and must not block: with None when Kafka has
        acknowledged all of them, else with the first error. Raises before anything is taken.
        """
        self._check(max(len(event) for event, _ in events))
        records = packed(events, self._partitions, pack=TOGETHER, max_bytes=self._record_bytes)
        together = _Together(len(records), done)
        with self._lock:
            self._taken += len(events)
        for record in records:
            self._dispatch(record, together.settle)

    def report(self, report: SourceReport, seconds: float = 10.0) -> None:
        """Sends what a source says of itself; returns when Kafka has acknowledged it. Raises OutOfReach."""
        value, settled, errors = report.to_json(), threading.Event(), list[Exception | None]()
        self._check(len(value))

        def told(error: Exception | None) -> None:
            errors.append(error)
            settled.set()

        self._dispatch(Record(REPORT_PARTITION, value, REPORT_TYPE, 0), told)
        if not settled.wait(seconds) or errors[0] is not None:
            raise _undelivered(self._settings, 1, errors[0] if errors else None, seconds)

    def deliveries(self) -> Deliveries:
        with self._moved:
            return Deliveries(self._taken, self._acknowledged, self._failed)

    def flush(self, deadline: float | None = None) -> None:
        """Returns when Kafka has acknowledged every event taken so far.

        Raises OutOfReach (or ConfigurationError, when the topic refuses the record for good) that names how
        many are not: some failed since the last flush, or are still on their way after `deadline` seconds
        (default: the delivery time-out and a little more, after which nothing is on its way).
        """
        seconds = self._delivery_seconds + 10.0 if deadline is None else deadline
        with self._lock:
            for record in self._packer.drain():
                self._dispatch(record)
            target = self._taken
        with self._moved:
            done = self._moved.wait_for(lambda: self._acknowledged + self._failed >= target, seconds)
            failed, error = self._unflushed_failures, self._error
            waiting = 0 if done else target - self._acknowledged - self._failed
            self._unflushed_failures, self._error = 0, None
        if failed or waiting:
            raise _undelivered(self._settings, failed + waiting, error, seconds)

    def close(self, deadline: float | None = None) -> None:
        """Flushes, then closes the connection in any case. Raises as `flush` does."""
        if self._closed.is_set():
            return
        try:
            self.flush(deadline)
        finally:
            self._abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()  # the error that is under way says more than a second one would

    def _abandon(self) -> None:
        self._closed.set()
        self._ticker.join(timeout=5)
        # KafkaProducer.close leaves its thread running when something is still on its way; this ends it.
        self._kafka._sender.force_close()
        with suppress(KafkaError):
            self._kafka.close(timeout=5)

    def _check(self, size: int) -> None:
        """Room for one more event, or the error that says why not. Nothing is taken before this returns."""
        if size > self.max_event_bytes:
            raise too_large(size, self.max_event_bytes)
        if self._closed.is_set():
            raise RuntimeError("the producer is closed")
        if self._bytes_on_their_way >= self._buffer_bytes:
            with self._moved:
                room = self._moved.wait_for(
                    lambda: self._bytes_on_their_way < self._buffer_bytes, self._send_seconds
                )
                waiting = self._taken - self._acknowledged - self._failed
            if not room:
                raise OutOfReach(
                    f"Kafka at {self._settings.bootstrap} took nothing for {self._send_seconds:.0f} seconds; "
                    f"{waiting:,} events wait for its acknowledgement. Send them again when it answers: a repeat "
                    f"changes no count"
                )

    def _dispatch(self, record: Record, told: Callable[[Exception | None], None] | None = None) -> None:
        """Hands a record to Kafka's thread. Never raises: what goes wrong is in the record's delivery.

        `told` hears the same, last.
        """
        settle = partial(self._settle, told, record.partition, record.events, len(record.value))
        with self._moved:
            self._bytes_on_their_way += len(record.value)
        try:
            future = self._kafka.send(
                self._settings.topic, record.value, partition=record.partition,
                headers=[("content-type", record.content_type)],
            )
        except (KafkaError, ValueError, AssertionError) as error:
            settle(None, error)
            return
        future.add_callback(lambda metadata: settle(metadata.offset, None))
        future.add_errback(partial(settle, None))

    def _settle(
        self, told: Callable[[Exception | None], None] | None, partition: int, events: int, size: int,
        offset: int | None, error: Exception | None,
    ) -> None:  # fmt: skip
        if self._on_delivery is not None:  # first, so that whoever waits for the numbers below has seen it
            self._on_delivery(Delivery(partition, events, offset, error))
        with self._moved:
            self._bytes_on_their_way -= size
            if error is None:
                self._acknowledged += events
            else:
                self._failed += events
                self._unflushed_failures += events
                self._error = error
            self._moved.notify_all()
        if told is not None:
            told(error)

    def _tick(self, pause: float) -> None:
        while not self._closed.wait(pause):
            with self._lock:
                for record in self._packer.due(self._clock()):
                    self._dispatch(record)


class _Together:
    """Records that are one to whoever sent them: `done` once, when the last of them is settled."""

    def __init__(self, records: int, done: Callable[[Exception | None], None]) -> None:
        self._left, self._done, self._lock = records, done, threading.Lock()
        self._error: Exception | None = None

    def settle(self, error: Exception | None) -> None:
        with self._lock:
            self._left -= 1
            self._error = self._error or error
            last = self._left == 0
        if last:
            self._done(self._error)


def too_large(size: int, limit: int) -> Refusal:
    return Refusal("too_large", f"{size:,} bytes, and the topic takes {limit:,} at most")


def _silence_kafka() -> None:
    """kafka-python logs each refused connection; the errors raised here say it once. A set level stays."""
    logger = logging.getLogger("kafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


def _undelivered(settings: KafkaSettings, count: int, error: Exception | None, seconds: float) -> RollcallError:
    if isinstance(error, MessageSizeTooLargeError):
        return ConfigurationError(
            f"{settings.topic!r} refused {count:,} events because their record is too large for it. Raise the "
            f"topic's max.message.bytes, or pack fewer events into a record, and send them again"
        )
    why = _name(error) if error is not None else f"no answer in {seconds:.0f} seconds"
    return OutOfReach(
        f"Kafka at {settings.bootstrap} did not acknowledge {count:,} events ({why}). Send them again when it "
        f"answers: a repeat changes no count"
    )


def _name(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}"[:200] if text else type(error).__name__
