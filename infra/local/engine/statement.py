"""Where a statement ends and its data begins: a lexer of ClickHouse's SQL, no parser.

The engine parses; this only finds the few words that a server's HTTP handler must know of: the format of a
result, and an INSERT's format with the place where its data starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"(?P<skip>\s+|--[^\n]*|\#[! ][^\n]*|/\*.*?(?:\*/|\Z))"
    rb"|(?P<text>'(?:[^'\\]|\\.|'')*(?:'|\Z)|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))"
    rb"|(?P<name>`(?:[^`\\]|\\.|``)*(?:`|\Z)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|\Z))"
    rb"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    rb"|(?P<number>[0-9][A-Za-z0-9_.]*)"
    rb"|(?P<mark>.)",
    re.DOTALL,
)
_OPEN, _CLOSE = b"([{", b")]}"


@dataclass(frozen=True)
class Token:
    kind: str  # text | name | word | number | mark
    value: bytes
    start: int
    end: int
    depth: int

    def is_word(self, *words: bytes) -> bool:
        return self.kind == "word" and self.value.upper() in words


@dataclass(frozen=True)
class Insert:
    """An INSERT whose rows follow it: `head` up to FORMAT or VALUES; the data start at byte `data`."""

    head: bytes
    format: str
    data: int


def tokens(sql: bytes) -> Iterator[Token]:
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "skip"
        if kind == "tag":
            kind = "text"
        if kind == "skip":
            continue
        value = match.group()
        if kind == "mark" and value in _CLOSE:
            depth -= 1
        yield Token(kind, value, match.start(), match.end(), depth)
        if kind == "mark" and value in _OPEN:
            depth += 1


def insert_of(sql: bytes) -> Insert | None:
    """The INSERT that starts `sql`, if its rows come behind it (not from SELECT or a file).

    As in ClickHouse, the data of FORMAT start after blanks and at most one line feed.
    """
    stream = tokens(sql)
    first = next(stream, None)
    if first is None or not first.is_word(b"INSERT"):
        return None
    previous: Token | None = None
    for token in stream:
        if token.depth == 0 and not (previous is not None and previous.value == b"."):
            if token.is_word(b"SELECT", b"WITH", b"WATCH", b"INFILE"):
                return None
            if token.is_word(b"VALUES") and previous is not None and not previous.is_word(b"INTO", b"TABLE"):
                return Insert(sql[: token.start], "Values", token.end)
            if previous is not None and previous.is_word(b"FORMAT") and token.kind in ("word", "name"):
                name = token.value.strip(b'`"').decode()
                start = token.end
                while sql[start : start + 1] in (b" ", b"\t", b"\f") and start < len(sql):
                    start += 1
                if sql[start : start + 1] == b"\r":
                    start += 1
                if sql[start : start + 1] == b"\n":
                    start += 1
                return Insert(sql[: previous.start], name, start)
        previous = token
    return None


def result_format(sql: bytes) -> str | None:
    """The format that a query's own FORMAT clause names, or None."""
    found: str | None = None
    previous: Token | None = None
    for token in tokens(sql):
        if token.depth == 0:
            if previous is not None and previous.is_word(b"FORMAT") and token.kind in ("word", "name"):
                found = token.value.strip(b'`"').decode(errors="replace")
                previous = None
                continue
            if previous is None and not token.is_word(b"SETTINGS") and token.value != b";":
                found = None
        previous = token
    return found



def names_file(sql: bytes) -> bool:
    """Whether `sql` writes INTO OUTFILE or reads FROM INFILE: on a server, words of the client alone."""
    if b"file" not in sql.lower():
        return False
    previous: Token | None = None
    for token in tokens(sql):
        if previous is not None and token.depth == 0:
            if token.is_word(b"OUTFILE") and previous.is_word(b"INTO"):
                return True
            if token.is_word(b"INFILE") and previous.is_word(b"FROM"):
                return True
        previous = token
    return False


def takes_input(sql: bytes) -> bool:
    """Whether `sql` is an INSERT that reads its rows by the table function `input`."""
    previous: Token | None = None
    first = True
    for token in tokens(sql):
        if first and not token.is_word(b"INSERT"):
            return False
        first = False
        if previous is not None and previous.is_word(b"INPUT") and token.value == b"(":
            return True
        previous = token
    return False


def is_identifier(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None
