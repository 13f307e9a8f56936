"""CSV (RFC 4180, UTF-8) with a column map: which column is the event's id, time, subject, tenant, …

Columns are named as in the header, or numbered from 1; a file whose columns are all given by numbers has no
header. What no column gives, or an empty field leaves open, comes from the options; an id from the place.
A time with an offset is taken as it is, one without needs --zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, get_args
from urllib.parse import quote

from infra.errors import ConfigurationError
from producers.adapters.adapter import to_json
from producers.sources.lines import Line, LongLine
from producers.sources.rows import Feed, Row, parse_row
from producers.sources.source import (
    Item,
    Login,
    Refused,
    Skipped,
    SourceOptions,
    place,
    too_long,
    zone_of,
)
from producers.times import NoZone, read_time
from schemas.event import EVENT_TYPE, event_from
from schemas.quarantine import Refusal

Member = Literal["id", "time", "subject", "tenant", "sku", "product", "source", "upn", "sid", "sam"]
MEMBERS: tuple[str, ...] = get_args(Member)


def parse_columns(text: str) -> dict[str, str]:
    """`id=event_id,time=timestamp,subject=3` as a map from the event's member to the column.

    ConfigurationError for anything else.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        member, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column or member not in MEMBERS:
            raise ConfigurationError(
                f"--columns {part!r}: write MEMBER=COLUMN, with COLUMN a name of the header or a number from 1, "
                f"and MEMBER one of {', '.join(MEMBERS)}"
            )
        if member in columns:
            raise ConfigurationError(f"--columns names {member} twice: {columns[member]!r} and {column!r}")
        columns[member] = column
    return columns


class CsvSource:
    """`file`: the name that stands in ids and, quoted, in the source when nothing else gives one."""

    def __init__(self, options: SourceOptions, file: str, limit: int) -> None:
        columns = options.columns
        if missing := [member for member in ("time", "subject") if member not in columns]:
            raise ConfigurationError(
                f"--format csv needs to know which column is the {' and the '.join(missing)}: "
                f"--columns time=…,subject=…, names of its header or numbers from 1"
            )
        if options.sku is None and not {"sku", "product"} & set(columns):
            raise ConfigurationError("what was logged in to? Give --sku, or a column: --columns …,sku=… or product=…")
        if options.year is not None:
            raise ConfigurationError("--year belongs to --format sshd; leave it out")
        numbered = {column.isdecimal() for column in columns.values()}
        if len(numbered) > 1:
            raise ConfigurationError("--columns mixes names and numbers: a file has a header, or it has none")
        if "0" in columns.values():
            raise ConfigurationError("--columns: columns are numbered from 1")
        self.preamble = b""
        self._options, self._file, self._limit, self._zone = options, file, limit, zone_of(options)
        self._width = 0
        self._index = {member: int(column) - 1 for member, column in columns.items()} if numbered == {True} else {}
        self._fallback = {"source": options.source or f"/csv/{quote(file, safe='')}"}
        self._fallback |= {name: text for name in ("tenant", "sku") if (text := getattr(options, name))}
        self._seen_a_time = False

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Item]:
        feed = Feed(lines)
        while (line := feed.next()) is not None:
            if isinstance(line, LongLine):
                yield too_long(line, self._limit)
            elif not line.text or line.text.isspace():
                yield Skipped(line.number)
            else:
                yield from self._row(line, feed)

    def _row(self, line: Line, feed: Feed) -> Iterator[Item]:
        try:
            row = parse_row(line, feed, self._limit)
            if not self._index:
                self._header(row)
                return
            self._fits(row, feed)
            yield self._login(row)
        except Refusal as refusal:
            yield Refused(line.number, [kept.raw for kept in feed.taken], refusal)

    def _header(self, row: Row) -> None:
        names = [name.strip() for name in row.fields]
        for member, column in self._options.columns.items():
            if names.count(column) != 1:
                fault = "twice" if column in names else "not"
                raise ConfigurationError(
                    f"{self._file}: the column {column!r} for {member} is {fault} in the header, which has "
                    f"{', '.join(repr(name) for name in names)[:500]}. Mend --columns, or give numbers from 1"
                )
        self._index = {member: names.index(column) for member, column in self._options.columns.items()}
        self._width = len(names)
        self.preamble = b"".join(line.raw for line in row.lines)
        if not self.preamble.endswith(b"\n"):
            self.preamble += b"\n"

    def _fits(self, row: Row, feed: Feed) -> None:
        width = self._width or len(row.fields)
        if len(row.fields) == width and max(self._index.values()) < width:
            return
        feed.keep_first()
        wanted = self._width or max(self._index.values()) + 1
        raise Refusal("not_an_event", f"a row of {len(row.fields)} fields, where there must be {wanted}")

    def _login(self, row: Row) -> Login:
        number = row.lines[0].number
        given = {member: text for member, column in self._index.items() if (text := row.fields[column])}
        found = self._fallback | given
        data: dict[str, object] = {name: found[name] for name in ("tenant", "sku", "product") if name in found}
        if "sku" in self._fallback and "sku" not in given and "product" in given:
            del data["sku"]  # the row says what it was; the option is for rows that do not
        if identities := {name: given[name] for name in ("upn", "sid", "sam") if name in given}:
            data["identities"] = identities
        subject = given.get("subject", "")
        value = {
            "specversion": "1.0", "id": found.get("id") or place(self._file, number), "source": found["source"],
            "type": EVENT_TYPE, "time": self._time(number, given.get("time", "")), "subject": subject, "data": data,
        }
        event_from(value)
        return Login(number, to_json(value), subject)

    def _time(self, number: int, text: str) -> str:
        first, self._seen_a_time = not self._seen_a_time, True
        try:
            return read_time(text, self._zone)
        except NoZone as missing:
            if first:
                raise ConfigurationError(f"{self._file}, line {number}: {missing.detail}") from None
            raise
