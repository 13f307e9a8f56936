"""What readers and gateways say of themselves, into Kafka (schemas/source_report.py). Nobody's work waits for it."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from infra.errors import OutOfReach, RollcallError
from producers.client import LoginProducer
from producers.in_hand import InHand
from schemas.settings import KafkaSettings
from schemas.source_report import MAX_ERROR, SourceReport

EVERY_SECONDS: Final = 60.0
MOST_SOURCES: Final = 1_000
"""That one gateway speaks for in a minute; of more, some are left out."""
_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")
log = logging.getLogger("rollcall.source")


def now() -> datetime:
    return datetime.now(UTC)


def as_error(error: Exception | str) -> str:
    """The operator's sentence as it may stand in a report: cut, and without what a URL may hold of credentials."""
    return _CREDENTIALS.sub("//…@", str(error))[:MAX_ERROR]


def send_report(producer: LoginProducer, report: SourceReport) -> None:
    """Returns when Kafka has acknowledged it, or does not: that is logged, and hinders nothing."""
    try:
        producer.report(report)
    except RollcallError as error:
        log.warning("%s could not be reported: %s", report.source, error)


def send_failure(kafka: KafkaSettings, source: str, at: datetime, error: Exception) -> None:
    """A heartbeat of a reader that failed, if Kafka answers."""
    try:
        with LoginProducer(kafka, connect_seconds=5.0) as producer:
            producer.report(SourceReport(source=source, kind="heartbeat", at=at, error=as_error(error)))
    except RollcallError as unsent:
        log.warning("%s could not be reported: %s", source, unsent)


class Way(Protocol):
    """The part of a gateway's Link that reports need."""

    up: bool
    why: str
    spoke_for: set[str]

    def report(self, report: SourceReport) -> None: ...


class Store(Protocol):
    """The part of a Spool that reports need."""

    @property
    def size(self) -> int: ...
    @property
    def too_large(self) -> int: ...


class Reporter:
    """Reports of what takes events and may spool them: once a minute, and at its end. A thread of its own.

    It speaks for itself, with a watermark while nothing is spooled; and for each source of which it took something
    since its last report. `refused` is what a report says of it.
    """

    def __init__(
        self, name: str, link: Way, spool: Store, hand: InHand, refused: Callable[[], int] | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:  # fmt: skip
        self._name, self._link, self._spool, self._hand = name, link, spool, hand
        self._refused, self._clock = refused, clock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Before the link's: what it says last must get through."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(EVERY_SECONDS)

    def reports(self) -> list[SourceReport]:
        """What there is to say now."""
        # In this order: what was given before is in Kafka, or in hand, or in the spool.
        at = self._clock()
        complete_to = min(at, self._hand.oldest or at)
        spoke, self._link.spoke_for = self._link.spoke_for, set()
        waiting, up = self._spool.size, self._link.up
        aside = self._spool.too_large
        all_sent = up and not waiting and not aside
        large = f"{aside} files of events that the topic does not take (….too-large)" if aside else ""
        error = as_error(large if up else self._link.why)
        own = SourceReport(
            source=self._name, kind="watermark" if all_sent else "heartbeat", at=at,
            complete_to=complete_to if all_sent else None, spool_bytes=waiting, error=error,
            refused=self._refused() if self._refused else None,
        )  # fmt: skip
        return [own, *(
            SourceReport(source=source, kind="heartbeat", at=at, spool_bytes=waiting, error=error)
            for source in sorted(spoke - {self._name})[:MOST_SOURCES]
        )]  # fmt: skip

    def _run(self) -> None:
        while True:
            ended = self._ended.is_set()
            try:
                for report in self.reports():
                    self._link.report(report)
            except OutOfReach:
                pass  # which the link has told
            except Exception:
                log.exception("a report could not be made; the next one is tried")
            if ended:
                return
            self._ended.wait(EVERY_SECONDS)
