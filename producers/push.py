"""`rollcall push` without its terminal: files in, a report out.

A file counts as pushed when Kafka has acknowledged every event of it; the report's `sent` is what Kafka
acknowledged, never what was only handed over. Pushing a file again gives the same ids and the same bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from infra.errors import ConfigurationError, RollcallError
from producers.client import Deliveries
from producers.rejects import STANDARD_INPUT, RejectFile
from producers.sources.brokers import BROKERS, broker_source, mapped_source
from producers.sources.cloudevents import CloudEventsSource
from producers.sources.csv import CsvSource
from producers.sources.lines import Broken, Lines
from producers.sources.raw import RawSource
from producers.sources.source import Login, Refused, Skipped, Source, SourceOptions
from producers.sources.sshd import SshdSource
from schemas.quarantine import Reason, Refusal

EXAMPLES = 5
LOOK_EVERY = 500  # items between two looks at the clock and at what Kafka refused


class Sender(Protocol):
    """The part of LoginProducer that a push needs."""

    max_event_bytes: int

    def send_bytes(self, event: bytes, subject: str) -> None: ...
    def send_raw(self, value: bytes, subject: str) -> None: ...
    def deliveries(self) -> Deliveries: ...
    def flush(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Example:
    """One refused line."""

    line: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file. lines = sent + refused + skipped, unless rows span lines (or `fault` is set)."""

    file: str
    lines: int
    sent: int
    skipped: int
    refused: dict[Reason, int]
    examples: tuple[Example, ...]
    reject_file: Path | None
    seconds: float
    fault: str | None = None
    """Why the file could not be read to its end."""
    not_logins: dict[str, int] = field(default_factory=dict)
    """Of those skipped: why the broker's adapter says that they are no logins, and how many."""

    @property
    def rate(self) -> float:
        """Events sent a second."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PushReport:
    """All files of one push, in the order given."""

    files: tuple[FileReport, ...]
    seconds: float

    @property
    def lines(self) -> int:
        return sum(file.lines for file in self.files)

    @property
    def sent(self) -> int:
        return sum(file.sent for file in self.files)

    @property
    def skipped(self) -> int:
        return sum(file.skipped for file in self.files)

    @property
    def refused(self) -> dict[Reason, int]:
        totals: dict[Reason, int] = {}
        for file in self.files:
            for reason, count in file.refused.items():
                totals[reason] = totals.get(reason, 0) + count
        return totals

    @property
    def rate(self) -> float:
        return self.sent / self.seconds if self.seconds > 0 else 0.0

    @property
    def complete(self) -> bool:
        """Every line was sent or rightly skipped; otherwise the command's exit code is 1."""
        return not any(file.refused or file.fault for file in self.files)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a push stands. `size` is None where it is not known (standard input, a pipe)."""

    file: str
    bytes_read: int
    size: int | None
    lines: int
    sent: int
    refused: int
    seconds: float


def push(
    files: Sequence[str], options: SourceOptions, producer: Sender, *, rejects: Path, stdin: BinaryIO,
    progress: Callable[[Progress], None] = lambda _: None, progress_seconds: float = 0.1,
    clock: Callable[[], float] = time.monotonic,
) -> PushReport:
    """Pushes the files one after the other; `-` is `stdin`. Refused lines go to reject files in `rejects`.

    `progress` is called with the state of the file at hand, about every `progress_seconds` and at its end.

    Raises ConfigurationError before anything is sent for a file that cannot be opened or an option that does
    not fit, and while reading for a file that needs another option; OutOfReach when Kafka does not acknowledge,
    with how many events of which file it did not.
    """
    check(files, options)
    begun = clock()
    with ExitStack() as stack:
        streams = [_open(file, stdin, stack) for file in files]
        reports = tuple(
            _Push(file, stream, options, producer, clock, progress, progress_seconds).run(rejects)
            for file, stream in zip(files, streams, strict=True)
        )
    return PushReport(reports, clock() - begun)


def check(files: Sequence[str], options: SourceOptions) -> None:
    """Everything that can be known to be wrong before a connection is opened. Raises ConfigurationError."""
    if not files:
        raise ConfigurationError("name the files to push, or - for standard input")
    if list(files).count(STANDARD_INPUT) > 1:
        raise ConfigurationError("standard input (-) can be read only once")
    for file in files:
        source_for(options, name_of(file), limit=1)
        if file != STANDARD_INPUT and not os.path.exists(file):
            raise ConfigurationError(f"{file}: there is no such file")
        if os.path.isdir(file):
            raise ConfigurationError(f"{file} is a folder; name the files in it")


def name_of(file: str) -> str:
    """The name that stands in ids: the base name without `.gz`, so that a file may be compressed later."""
    return os.path.basename(file).removesuffix(".gz") or file


def source_for(options: SourceOptions, name: str, limit: int) -> Source:
    """The reader that the options ask for. Raises ConfigurationError when they do not fit together."""
    if options.raw:
        return RawSource(limit)
    if options.format == "map":
        return mapped_source(options, name, limit)
    if options.format in BROKERS:
        return broker_source(options, name, limit)
    if given := [f"--{option}" for option in ("map", "policy", "inventory", "date") if getattr(options, option)]:
        raise ConfigurationError(f"{', '.join(given)}: means nothing to --format {options.format}; leave it out")
    if options.format == "csv":
        return CsvSource(options, name, limit)
    if options.format == "sshd":
        return SshdSource(options, name, limit)
    return CloudEventsSource(options, limit)


def _open(file: str, stdin: BinaryIO, stack: ExitStack) -> BinaryIO:
    if file == STANDARD_INPUT:
        return stdin
    try:
        return stack.enter_context(open(file, "rb", buffering=0))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from None


@dataclass(slots=True)
class _Push:
    """One file on its way."""

    file: str
    stream: BinaryIO
    options: SourceOptions
    producer: Sender
    clock: Callable[[], float]
    progress: Callable[[Progress], None]
    progress_seconds: float
    skipped: int = 0
    refused: dict[Reason, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    not_logins: dict[str, int] = field(default_factory=dict)

    def run(self, folder: Path) -> FileReport:
        begun = told = self.clock()
        before = self.producer.deliveries()
        limit, fault = self.producer.max_event_bytes, None
        lines = Lines(self.stream, self.file, limit)
        source = source_for(self.options, name_of(self.file), limit)
        send = self.producer.send_raw if self.options.raw else self.producer.send_bytes

        def tell(now: float) -> None:
            sent = self.producer.deliveries().acknowledged - before.acknowledged
            refused, read = sum(self.refused.values()), _position(self.stream)
            self.progress(Progress(self.file, read, _size(self.stream), lines.number, sent, refused, now - begun))

        with RejectFile(folder, self.file, name_of(self.file)) as rejects:
            try:
                for count, item in enumerate(source.read(lines), 1):
                    if isinstance(item, Login):
                        try:
                            send(item.event, item.subject)
                        except Refusal as refusal:
                            self._refuse(rejects, Refused(item.number, (item.event,), refusal), source.preamble)
                    elif isinstance(item, Refused):
                        self._refuse(rejects, item, source.preamble)
                    else:
                        self._skip(item)
                    if count % LOOK_EVERY == 0:
                        if self.producer.deliveries().failed > before.failed:
                            break  # the flush below says why
                        if (now := self.clock()) - told >= self.progress_seconds:
                            told = now
                            tell(now)
            except Broken as broken:
                fault = str(broken)
            self._flush(before)
        now = self.clock()
        tell(now)
        sent = self.producer.deliveries().acknowledged - before.acknowledged
        return FileReport(
            self.file, lines.number, sent, self.skipped, self.refused, tuple(self.examples), rejects.written,
            now - begun, fault, self.not_logins,
        )

    def _flush(self, before: Deliveries) -> None:
        try:
            self.producer.flush()
        except RollcallError as error:
            sent = self.producer.deliveries().acknowledged - before.acknowledged
            raise type(error)(f"{self.file}: {sent:,} events were sent, then no more. {error}") from None

    def _skip(self, item: Skipped) -> None:
        self.skipped += 1
        if item.why:
            self.not_logins[item.why] = self.not_logins.get(item.why, 0) + 1

    def _refuse(self, rejects: RejectFile, item: Refused, preamble: bytes) -> None:
        refusal = item.refusal
        rejects.add(item.number, item.raw, refusal, preamble)
        self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(item.number, refusal.reason, refusal.detail))


def _position(stream: BinaryIO) -> int:
    try:
        return stream.tell()
    except (OSError, ValueError):
        return 0


def _size(stream: BinaryIO) -> int | None:
    try:
        return os.fstat(stream.fileno()).st_size or None
    except (OSError, ValueError):
        return None
