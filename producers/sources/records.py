"""Records out of a file's lines, for adapters: JSON lines, JSON documents, tables with a header, lines of text.

Nothing here knows a broker. A record's `raw` is what a reject file keeps: it can be mended and pushed in its place, so
records of a JSON document are kept one a line, and a table's behind its header (`preamble`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple, Protocol

from infra.errors import ConfigurationError
from producers.adapters.adapter import to_json
from producers.sources.lines import Line, LongLine
from producers.sources.rows import Feed, Row, parse_row
from producers.sources.source import Refused, Skipped, too_long
from schemas.event import read_json
from schemas.quarantine import Refusal

MAX_DOCUMENT = 256 * 1024 * 1024  # bytes
Unwrap = Callable[[Any], "list[Any] | None"]
"""The records in a JSON value, or None if the value is itself a record."""


class Found(NamedTuple):
    """A record: its line, or its number within a JSON document; both from 1."""

    number: int
    record: dict[str, Any]
    raw: tuple[bytes, ...]


class Reader(Protocol):
    @property
    def preamble(self) -> bytes: ...

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]: ...


def envelope(value: Any) -> list[Any] | None:
    """An array; a page of OData (`value`); the answer of a Log Analytics query (`tables` of columns and rows).

    Raises Refusal for a table whose rows do not fit its columns.
    """
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        if isinstance(value.get("value"), list):
            found: list[Any] = value["value"]
            return found
        if isinstance(value.get("tables"), list):
            return [row for table in value["tables"] for row in _rows(table)]
    return None


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    try:
        names = [column["name"] for column in table["columns"]]
        for row in table["rows"]:
            yield dict(zip(names, row, strict=True))
    except (TypeError, KeyError, ValueError):
        raise Refusal("not_an_event", "a table needs columns with names, and rows that fit them") from None


class Json:
    """JSON lines, or one document over any number of lines; its first value tells which."""

    preamble = b""

    def __init__(self, limit: int, unwrap: Unwrap = envelope) -> None:
        self._limit, self._unwrap = limit, unwrap

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]:
        feed = iter(lines)
        for line in feed:
            if isinstance(line, Line) and (not line.text or line.text.isspace()):
                yield Skipped(line.number)
            elif isinstance(line, Line) and self._is_record(line.text):
                yield from self._lines(chain([line], feed))
            else:
                yield from self._document(chain([line], feed))

    def _values(self, text: bytes) -> list[Any]:
        """The JSON values of a text: one, or several without a line end between them (Firehose writes such)."""
        try:
            return [read_json(text)]
        except Refusal:
            if (parts := _apart(text)) is None:
                raise
        return [read_json(part) for part in parts]

    def _is_record(self, text: bytes) -> bool:
        try:
            value = read_json(text)
            return isinstance(value, dict) and self._unwrap(value) is None
        except Refusal:
            return False

    def _lines(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]:
        for line in lines:
            if isinstance(line, LongLine):
                yield too_long(line, self._limit)
            elif not line.text or line.text.isspace():
                yield Skipped(line.number)
            else:
                try:
                    values = self._values(line.text)
                    whole = len(values) == 1 and self._unwrap(values[0]) is None
                    found = values if whole else self._inner(values)
                except Refusal as refusal:
                    yield Refused(line.number, (line.raw,), refusal)
                else:
                    yield from (_found(line.number, element, line.raw if whole else None) for element in found)

    def _document(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]:
        held, size, whole = list[Line](), 0, list[bytes]()
        feed = iter(lines)
        for line in feed:
            if isinstance(line, LongLine):
                for piece in line.pieces:
                    size += len(piece)
                    whole.append(piece)
                    self._bounded(size)
                held.clear()
            else:
                size += len(line.raw)
                whole.append(line.raw)
                held.append(line)
                if size > MAX_DOCUMENT and len(held) == len(whole):
                    break
                self._bounded(size)
        try:
            if size > MAX_DOCUMENT:
                raise Refusal("not_json", "too large for one document")
            found = self._inner(self._values(b"".join(whole)))
        except Refusal as refusal:
            if len(held) == len(whole) and self._mostly_records(held[:1000]):
                yield from self._lines(chain(held, feed))
            elif len(held) == len(whole) > 1 and all(line.text.lstrip()[:1] in (b"", b"[") for line in held):
                yield from self._lines(held)  # an array on every line
            else:
                yield Refused(1, whole, refusal)
            return
        for number, element in enumerate(found, 1):
            yield _found(number, element)

    def _inner(self, values: list[Any]) -> list[Any]:
        found = list[Any]()
        for value in values:
            inner = self._unwrap(value)
            found += [value] if inner is None else inner
        return found

    def _mostly_records(self, held: list[Line]) -> bool:
        """Whether these are JSON lines, the first of them a bad one: at least half are records by themselves."""
        texts = [line.text for line in held if line.text and not line.text.isspace()]
        return 2 * sum(map(self._is_record, texts)) >= len(texts)

    def _bounded(self, size: int) -> None:
        if size > MAX_DOCUMENT:
            raise ConfigurationError(
                f"the JSON document is larger than {MAX_DOCUMENT >> 20} MiB: export it in parts, or one record a line"
            )


def _apart(text: bytes) -> list[bytes] | None:
    """Texts of JSON values that follow each other; None for what is cut off or none."""
    parts, at = list[bytes](), 0
    try:
        decoded = text.decode().strip()
        while at < len(decoded):
            _, end = _scan(decoded, at)
            parts.append(decoded[at:end].encode())
            at = end + len(decoded[end:end + 100]) - len(decoded[end:end + 100].lstrip())
    except (ValueError, RecursionError):
        return None
    return parts if len(parts) > 1 else None


_scan = json.JSONDecoder().raw_decode


def _found(number: int, value: Any, raw: bytes | None = None) -> Found | Refused:
    kept = (to_json(value) + b"\n",) if raw is None else (raw,)
    if isinstance(value, dict):
        return Found(number, value, kept)
    return Refused(number, kept, Refusal("not_an_event", "a record must be a JSON object"))


class Table:
    """CSV. Without a header (`header=False`) the columns are named 1, 2, 3, …

    `columns`: those that must be there. `skip`: lines above the header.
    """

    def __init__(
        self, file: str, limit: int, *, columns: Iterable[str] = (), delimiter: str = ",", encoding: str = "utf-8",
        skip: int = 0, header: bool = True,
    ) -> None:
        self.preamble = b""
        self._file, self._limit, self._columns = file, limit, list(columns)
        self._delimiter, self._encoding, self._skip, self._header = delimiter, encoding, skip, header
        self._names: list[str] = []

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]:
        feed = Feed(lines)
        while (line := feed.next()) is not None:
            if isinstance(line, LongLine):
                yield too_long(line, self._limit)
            elif self._skip > 0:
                self._skip -= 1
                self.preamble += line.raw
                yield Skipped(line.number)
            elif not line.text or line.text.isspace():
                yield Skipped(line.number)
            else:
                try:
                    row = parse_row(line, feed, self._limit, self._delimiter, self._encoding)
                    if self._names or not self._header:
                        yield self._record(row, feed)
                    else:
                        self._read_header(row)
                except Refusal as refusal:
                    yield Refused(line.number, [kept.raw for kept in feed.taken], refusal)

    def _read_header(self, row: Row) -> None:
        self._names = names = [name.strip() for name in row.fields]
        for column in self._columns:
            if names.count(column) != 1:
                fault = "twice" if column in names else "not"
                raise ConfigurationError(
                    f"{self._file}: the column {column!r} is {fault} in the header, which has "
                    f"{', '.join(repr(name) for name in names)[:500]}"
                )
        self.preamble += b"".join(line.raw for line in row.lines)
        if not self.preamble.endswith(b"\n"):
            self.preamble += b"\n"

    def _record(self, row: Row, feed: Feed) -> Found:
        if not self._header and not self._names:
            self._names = [str(number) for number in range(1, len(row.fields) + 1)]
        if len(row.fields) != len(self._names):
            feed.keep_first()
            raise Refusal(
                "not_an_event", f"a row of {len(row.fields)} fields, where there must be {len(self._names)}"
            )
        return Found(row.lines[0].number, dict(zip(self._names, row.fields, strict=True)), tuple(
            line.raw for line in row.lines
        ))  # fmt: skip


class Text:
    """Every line a record with one member, `line`; for formats that an adapter takes apart itself."""

    preamble = b""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]:
        for line in lines:
            if isinstance(line, LongLine):
                yield too_long(line, self._limit)
            elif not line.text or line.text.isspace():
                yield Skipped(line.number)
            else:
                try:
                    yield Found(line.number, {"line": line.text.decode()}, (line.raw,))
                except UnicodeDecodeError as error:
                    detail = f"byte {error.start} of the line is not UTF-8"
                    yield Refused(line.number, (line.raw,), Refusal("not_utf8", detail))


class FirstCharacter:
    """One of several readers, by the file's first character that is no white space."""

    def __init__(self, readers: Mapping[bytes, Reader], otherwise: Reader) -> None:
        self._readers, self._chosen = readers, otherwise

    @property
    def preamble(self) -> bytes:
        return self._chosen.preamble

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]:
        feed = iter(lines)
        for line in feed:
            if isinstance(line, Line) and (not line.text or line.text.isspace()):
                yield Skipped(line.number)
                continue
            if isinstance(line, LongLine):
                begins = next(line.pieces)
                line = LongLine(line.number, chain([begins], line.pieces))
            else:
                begins = line.text
            self._chosen = self._readers.get(begins.lstrip()[:1], self._chosen)
            yield from self._chosen.read(chain([line], feed))
