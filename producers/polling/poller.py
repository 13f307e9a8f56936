"""One polled source: polls from its watermark on, once or again and again, and backfills."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from traceback import format_tb

from infra.errors import CheckFailed, ConfigurationError, OutOfReach, RollcallError
from producers.client import LoginProducer
from producers.polling.brokers import Broker
from producers.polling.portion import Portion
from producers.polling.reader import Refusals, Tally, read
from producers.polling.watermark import Watermark
from producers.source_folder import file_name
from producers.source_reports import now, send_failure, send_report
from schemas.settings import KafkaSettings
from schemas.source_report import SourceReport
from schemas.source_settings import PolledSettings

log = logging.getLogger("rollcall.source")


@dataclass(frozen=True, slots=True)
class Poller:
    """`folder` is where its watermark and what was refused are kept; `tell` shows an operator's sentence."""

    source: str
    broker: Broker
    settings: PolledSettings
    folder: Path
    kafka: KafkaSettings
    tell: Callable[[str], None]
    clock: Callable[[], datetime] = now

    def once(self) -> bool:
        """One poll; whether nothing was refused. Raises OutOfReach, CheckFailed or ConfigurationError."""
        with Watermark(self.folder, file_name(self.source)) as watermark:
            try:
                return self._poll(watermark)
            except (OutOfReach, CheckFailed) as error:
                send_failure(self.kafka, self.source, self.clock(), error)
                raise

    def until(self, stop: Event, every: float) -> bool:
        """Polls every so many seconds; a broker or Kafka that does not answer is told, and asked at the next."""
        complete, begun = True, False
        with Watermark(self.folder, file_name(self.source)) as watermark:
            while not stop.is_set():
                try:
                    complete = self._poll(watermark) and complete
                    begun = True
                except RollcallError as error:
                    if isinstance(error, ConfigurationError) and not begun:
                        raise  # later it is the broker's or the disk's state, which may pass
                    self._failed(error)
                except Exception as fault:
                    where = "".join(format_tb(fault.__traceback__))  # without its words, which may hold a name
                    log.error("%s: a fault of this program; it polls again\n%s", self.source, where)
                    self._failed(CheckFailed(f"a fault of this program: {type(fault).__name__}"))
                stop.wait(every)
        return complete

    def backfill(self, begin: datetime, end: datetime) -> bool:
        """Sends the logins of [begin, end) again; the watermark stays. Raises as `once`."""
        with Watermark(self.folder, file_name(self.source)), LoginProducer(self.kafka) as producer:
            portions = self.broker.between(begin, end)
            tally = self._read(producer, None, portions, Refusals(self._rejects), (begin, end))
        return self._told(tally, "the watermark stays")

    def _failed(self, error: RollcallError) -> None:
        self.tell(f"{self.source}: {error}")
        send_failure(self.kafka, self.source, self.clock(), error)

    @property
    def _rejects(self) -> Path:
        return self.folder / f"{file_name(self.source)}.rejects"

    def _poll(self, watermark: Watermark) -> bool:
        if (mark := watermark.mark) is not None:
            start = mark - timedelta(minutes=self.settings.overlap_minutes)
        elif self.settings.since is not None:
            start = self.broker.first(self.settings.since)
        else:
            raise ConfigurationError(
                f"{self.source}: nothing was read yet: name with --since (in the catalogue: since) from when on "
                f"sessions count, as 2026-10-01"
            )
        refusals = Refusals(self._rejects)
        begun, overlap = self.clock(), timedelta(minutes=self.settings.overlap_minutes)
        latest = self.broker.first(begun)  # a row that is dated later would hide those that come until then
        with LoginProducer(self.kafka) as producer:
            portions = self.broker.since(start)
            capped = (each._replace(mark=min(each.mark, latest)) for each in portions)
            tally = self._read(producer, watermark, capped, refusals)
            # What becomes visible at the broker later than that is read by a poll to come.
            send_report(producer, SourceReport(
                source=self.source, kind="watermark", at=self.clock(), polled=begun, refused=refusals.count,
                complete_to=begun - overlap - self.broker.hidden,
            ))  # fmt: skip
        watermark.polled(datetime.now(UTC))
        return self._told(tally, f"watermark {tally.mark.isoformat(timespec='seconds') if tally.mark else 'as before'}")

    def _read(
        self, producer: LoginProducer, watermark: Watermark | None, portions: Iterable[Portion], refusals: Refusals,
        between: tuple[datetime, datetime] | None = None,
    ) -> Tally:  # fmt: skip
        return read(
            portions, self.broker.adapter, producer, watermark, refusals, source=self.source,
            tenant=self.settings.tenant, sku=self.settings.sku, between=between,
        )  # fmt: skip

    def _told(self, tally: Tally, where: str) -> bool:
        self.tell(f"{self.source}: {tally.records:,} records read, {tally.sent:,} logins sent; {where}")
        for why, count in tally.not_logins.most_common():
            self.tell(f"{self.source}: {count:,} not a login: {why}")
        if tally.refused:
            first = tally.first_refusal
            self.tell(f"{self.source}: {tally.refused:,} refused ({first}); mend and push {self._rejects}")
        return tally.refused == 0
