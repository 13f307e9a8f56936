"""CloudEvents, one a line (NDJSON). What is sent are the line's own bytes, not a copy that was written anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from infra.errors import ConfigurationError
from producers.sources.lines import Line, LongLine
from producers.sources.source import Item, Login, Refused, Skipped, SourceOptions, too_long
from schemas.array import elements
from schemas.event import read_event
from schemas.fast import read_run
from schemas.quarantine import Refusal

_NOT_HERE = ("columns", "tenant", "sku", "source", "zone", "year")


class CloudEventsSource:
    """Each line an event of the contract; empty lines are skipped."""

    preamble = b""

    def __init__(self, options: SourceOptions, limit: int) -> None:
        given = [f"--{name}" for name in _NOT_HERE if getattr(options, name)]
        if given:
            raise ConfigurationError(
                f"{', '.join(given)}: CloudEvents say that themselves and are sent as they are; leave it out, "
                f"or name another --format"
            )
        self._limit = limit

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Item]:
        for line in lines:
            if isinstance(line, LongLine):
                yield too_long(line, self._limit)
            elif not line.text or line.text.isspace():
                yield Skipped(line.number)
            else:
                yield from self._events(line)

    def _events(self, line: Line) -> Iterator[Item]:
        """The line's event, or the events of its array; a bad element is refused alone."""
        try:
            parts = elements(line.text) if line.text.lstrip()[:1] == b"[" else [line.text]
        except Refusal as refusal:
            yield Refused(line.number, (line.raw,), refusal)
            return
        for part in parts:
            try:
                fast = read_run([part])
                event = fast[0] if fast else read_event(part)
                yield Login(line.number, part, event.subject)
            except Refusal as refusal:
                yield Refused(line.number, (line.raw if len(parts) == 1 else part + b"\n",), refusal)
