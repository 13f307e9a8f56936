"""What every file source is: lines in, logins and refusals out. Pure; one file a source beside this one.

Ids are not guessed: where a source has none, the id is the place, `<file>:<line>`, which together with the
event's source is unique (CloudEvents 1.0) and the same at every push of the same file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple, Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

from infra.errors import ConfigurationError
from producers.adapters.login_map import LoginMap
from producers.sources.lines import Line, LongLine
from schemas.calendar import zone_named
from schemas.quarantine import Refusal

Format = Literal[
    "cloudevents", "csv", "sshd", "map",
    # records of session brokers; producers.sources.brokers has their readers
    "avd", "citrix", "guacamole", "horizon", "horizon-syslog", "instances", "secure-browser", "windows", "workspaces",
]  # fmt: skip


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
    """A line or record that is no login and no fault. `why` it is none, where a broker's adapter says so."""

    number: int
    why: str = ""


Item = Login | Refused | Skipped


class Source(Protocol):
    """One reader of one file."""

    @property
    def preamble(self) -> bytes:
        """What has to stand before refused lines so that they can be pushed again (a CSV file's header)."""
        ...

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Item]:
        """Every line or record in at least one item, in order. ConfigurationError when an option is missing."""
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
    map: LoginMap | None = None
    policy: Mapping[str, str] = field(default_factory=dict)
    inventory: Mapping[str, Mapping[str, str]] | None = None
    """Machine to what is known of its user; see producers.adapters.inventory."""
    date: date | None = None
    """Of an inventory of instances."""


def too_long(line: LongLine, limit: int) -> Refused:
    return Refused(line.number, line.pieces, Refusal("too_large", f"longer than {limit:,} bytes"))


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
