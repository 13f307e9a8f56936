"""Lines of a file, plain or gzip or standard input, read once, in bounded memory, with their numbers.

What is compressed is seen by its first bytes, never by the name. A line longer than the bound is handed over
piece by piece (`LongLine`), so that it can be kept without being held.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from typing import BinaryIO, NamedTuple, cast

from infra.errors import ConfigurationError

PIECE = 64 * 1024
GZIP = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
UTF_8_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line: its number from 1, its bytes without the line's end, and as they came."""

    number: int
    text: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line longer than the bound. `pieces` is what it holds; what is not consumed is skipped."""

    number: int
    pieces: Iterator[bytes]


class Broken(Exception):
    """The file cannot be read to its end; the sentence says after which line it broke off."""


class Lines:
    """Iterates over Line and LongLine; `number` is the last line that was read.

    `limit`: the longest line in bytes, without its end. A line ends with LF or CRLF; the last one may lack it.
    A UTF-8 byte order mark before the first line is not part of it. Raises Broken where compressed data is
    cut off or damaged (an unfinished last line is not handed over then), ConfigurationError for UTF-16.
    """

    def __init__(self, stream: BinaryIO, name: str, limit: int) -> None:
        self._name, self._limit, self.number = name, limit, 0
        self._stream = _decompressed(stream)
        self._first = True

    def __iter__(self) -> Iterator[Line | LongLine]:
        longest = self._limit + 2  # with CRLF
        while raw := self._read(longest):
            if self._first:
                raw = self._without_mark(raw)
            self.number += 1
            text = raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\n") else raw
            if len(text) > self._limit:
                pieces = self._pieces(raw)
                yield LongLine(self.number, pieces)
                for _ in pieces:
                    pass
            else:
                yield Line(self.number, text, raw)

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.readline(size)
        except EOFError:
            why = "ends in the middle of its compressed data (cut off?)"
        except (BadGzipFile, zlib.error) as error:
            why = f"holds damaged compressed data ({error})"
        except OSError as error:
            why = f"cannot be read on ({error.strerror or error})"
        raise Broken(
            f"{self._name} {why} after line {self.number:,}. What was read before is sent; get the whole file and "
            f"push it again: what is sent twice is counted once"
        )

    def _pieces(self, head: bytes) -> Iterator[bytes]:
        piece = head
        while piece:
            yield piece
            if piece.endswith(b"\n"):
                return
            piece = self._read(PIECE)

    def _without_mark(self, raw: bytes) -> bytes:
        self._first = False
        if raw[:2] in UTF_16:
            raise ConfigurationError(f"{self._name} is UTF-16 text: save it as UTF-8 and push it again")
        return raw.removeprefix(UTF_8_MARK)


def _decompressed(stream: BinaryIO) -> BinaryIO:
    # Standard input is buffered already, and a reader around it would close it when it is collected.
    plain = stream if isinstance(stream, io.BufferedReader) else _buffered(stream)
    return _buffered(GzipFile(fileobj=plain)) if plain.peek(2)[:2] == GZIP else plain


def _buffered(stream: BinaryIO | GzipFile) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, stream), PIECE * 4)
