"""The way to Kafka: one LoginProducer while Kafka answers, a new one when it comes back; and the spool's way out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from infra.errors import OutOfReach, RollcallError
from producers.client import OVERHEAD, LoginProducer
from producers.gateway.judge import read_one
from producers.gateway.spool import Spool
from producers.topic import DEFAULT_MAX_MESSAGE
from schemas.array import elements
from schemas.settings import KafkaSettings
from schemas.source_report import SourceReport

RETRY_SECONDS: Final = 1.0
log = logging.getLogger("rollcall.gateway")


class Link:
    """Thread-safe. `up` is whether Kafka acknowledges: then events go to it, else to the spool.

    A thread of its own connects, and empties the spool in the order in which it was filled.
    """

    def __init__(self, settings: KafkaSettings, spool: Spool, *, answer_seconds: float, buffer_bytes: int) -> None:
        self._settings, self._spool = settings, spool
        self._answer_seconds, self._buffer_bytes = answer_seconds, buffer_bytes
        self._producer: LoginProducer | None = None
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self.max_event_bytes = DEFAULT_MAX_MESSAGE - OVERHEAD
        self.up = False
        self.why = "it was not asked yet"
        """Why it is not up."""
        self.spoke_for: set[str] = set()
        """Sources of which something was taken since somebody last asked."""

    def start(self) -> None:
        """Connects if Kafka answers. Raises CheckFailed or ConfigurationError for what waiting does not cure."""
        try:
            self._connect()
            self.up = True
        except OutOfReach as error:
            self._down(str(error))
        self._thread.start()

    def send(self, events: Sequence[tuple[bytes, str]], done: Callable[[Exception | None], None]) -> None:
        """As LoginProducer.send_many. Raises OutOfReach while Kafka is away."""
        producer = self._producer
        if producer is None:
            raise OutOfReach(self.why)
        try:
            producer.send_many(events, done)
        except RuntimeError:  # closed meanwhile
            raise OutOfReach(self.why) from None

    def report(self, report: SourceReport) -> None:
        """As LoginProducer.report. Raises OutOfReach while Kafka is away."""
        if (producer := self._producer) is None:
            raise OutOfReach(self.why)
        try:
            producer.report(report, self._answer_seconds)
        except RuntimeError:  # closed meanwhile
            raise OutOfReach(self.why) from None

    def failed(self, why: str) -> None:
        """Kafka did not acknowledge something: until it acknowledges again, events go to the spool."""
        if self.up:
            self._down(why)
            self._wake.set()

    def close(self) -> None:
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(self._answer_seconds + 5)
        self._abandon()

    def _connect(self) -> None:
        self._producer = LoginProducer(
            self._settings, buffer_bytes=self._buffer_bytes, send_seconds=0.0, connect_seconds=self._answer_seconds,
            delivery_seconds=self._answer_seconds,
        )  # fmt: skip
        self.max_event_bytes = self._producer.max_event_bytes

    def _abandon(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(RollcallError):
                producer.close(0.0)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                if not self.up:
                    self._abandon()  # what it still carries is in the spool, or its sender was told to come back
                    self._connect()
                self._empty()
                if not self.up:
                    self.up = True
                    log.info("Kafka acknowledges again; the spool is empty")
            except RollcallError as error:
                self._down(str(error))
            except Exception:
                self._down("a fault of the gateway")
                log.exception("the spool could not be emptied; it is tried again")
            self._wake.wait(RETRY_SECONDS)
            self._wake.clear()

    def _empty(self) -> None:
        """Sends all that the spool holds, oldest first. Raises OutOfReach when Kafka does not acknowledge."""
        while not self._ended.is_set() and (segment := self._spool.oldest()) is not None:
            large: list[bytes] = []
            for payload in self._spool.read(segment):
                large += self._deliver(elements(payload))
                self.up = True
                if self._ended.is_set():
                    return
            if large:  # all of the segment at once: what is put aside again replaces what was
                self._spool.put_aside(segment, b"\n".join(large) + b"\n", ".too-large")
                log.error(
                    "%d spooled events are larger than the topic takes (%d bytes); they are kept in the spool's folder "
                    "as ….too-large: raise the topic's max.message.bytes and push that file",
                    len(large), self.max_event_bytes,
                )  # fmt: skip
            self._spool.remove(segment)

    def _deliver(self, raws: Sequence[bytes]) -> list[bytes]:
        """Returns the events that are too large: spooled before the topic could be asked. Raises OutOfReach."""
        limit = self.max_event_bytes
        large = [raw for raw in raws if len(raw) > limit]
        events = [(raw, read_one(raw).subject) for raw in raws if len(raw) <= limit]
        if not events:
            return large
        settled, errors = threading.Event(), list[Exception | None]()

        def done(error: Exception | None) -> None:
            errors.append(error)
            settled.set()

        self.send(events, done)
        if not settled.wait(self._answer_seconds + 1) or errors[0] is not None:
            what = type(errors[0]).__name__ if errors else f"no answer in {self._answer_seconds:.0f} seconds"
            raise OutOfReach(f"Kafka at {self._settings.bootstrap} did not acknowledge what was spooled ({what})")
        return large

    def _down(self, why: str) -> None:
        if self.up or why != self.why:
            log.warning("events go to the spool until Kafka acknowledges again: %s", why)
        self.up, self.why = False, why
