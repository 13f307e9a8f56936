"""What every file source is: lines in, logins and refusals out. Pure; one file a source beside this one.

Ids are not guessed: where a source has none, the id is the place, `<file>:<line>`, which together with the
event's source is unique (CloudEvents 1.0) and the same at every push of the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from infra.errors import ConfigurationError
from producers.sources.lines import Line, LongLine
from schemas.calendar import zone_named
from schemas.quarantine import Refusal

Format = Literal["cloudevents", "csv", "sshd"]


class Login(NamedTuple):
    """An event that the contract accepts: its bytes, and the subject by which it is partitioned."""

    number: int
    event: bytes
    subject: str


class Refused(NamedTuple):
    """What the contract does not accept: the bytes as they came, with the line's end, and why not."""

    number: int
    raw: Iterable[bytes]
    refusal: Refusal


class Skipped(NamedTuple):
    """A line that is no login and no fault: empty, or a log's line about something else."""

    number: int


Item = Login | Refused | Skipped


class Source(Protocol):
    """One reader of one file."""

    preamble: bytes
    """What has to stand before refused lines so that they can be pushed again (a CSV file's header)."""

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Item]:
        """Every line in one item, in the file's order. ConfigurationError when an option is missing."""
        ...


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the operator says about files that do not say it themselves."""

    format: Format = "cloudevents"
    columns: dict[str, str] = field(default_factory=dict)
    tenant: str | None = None
    sku: str | None = None
    source: str | None = None
    zone: str | None = None
    year: int | None = None
    raw: bool = False


def too_long(line: LongLine, limit: int) -> Refused:
    return Refused(line.number, line.pieces, Refusal("too_large", f"longer than {limit:,} bytes"))


to_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""Compact UTF-8 JSON of an event that was built here."""


def place(file: str, number: int) -> str:
    """The id of an event that came without one."""
    return f"{quote(file, safe='')}:{number}"


def zone_of(options: SourceOptions) -> ZoneInfo | None:
    """The zone for times without an offset. Raises ConfigurationError for a name that is none."""
    if options.zone is None:
        return None
    try:
        return zone_named(options.zone)
    except ValueError as error:
        raise ConfigurationError(f"--zone {error}") from None


def in_zone(local: datetime, zone: ZoneInfo) -> str:
    """A local time with the zone's offset, RFC 3339.

    Where clocks were put back, a time that was shown twice is taken as the first of the two; where they were
    put forward, a time that was never shown is read with the offset before the jump (02:30 is then the
    instant that was shown as 03:30). So the same text always gives the same event.
    """
    moment = local.replace(tzinfo=zone, fold=0)
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:  # local mean time: RFC 3339 has no seconds in an offset
        return moment.astimezone(zone_named("UTC")).isoformat()
    return moment.isoformat()
