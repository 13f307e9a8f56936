"""Lines: numbers, ends, gzip by content, and a bound on memory."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from infra.errors import ConfigurationError
from producers.sources.lines import Broken, Line, Lines, LongLine


def read(data: bytes, limit: int = 10) -> list[Line | tuple[int, bytes]]:
    return [
        (line.number, b"".join(line.pieces)) if isinstance(line, LongLine) else line
        for line in Lines(io.BytesIO(data), "file", limit)
    ]


def test_ends_and_numbers() -> None:
    assert read(b"a\r\n\nb") == [Line(1, b"a", b"a\r\n"), Line(2, b"", b"\n"), Line(3, b"b", b"b")]
    assert read(b"") == []


def test_a_mark_before_the_first_line_is_no_part_of_it() -> None:
    mark = b"\xef\xbb\xbf"
    assert read(mark + b"a\n" + mark + b"b\n") == [Line(1, b"a", b"a\n"), Line(2, mark + b"b", mark + b"b\n")]


def test_utf_16_is_named_with_its_cure() -> None:
    with pytest.raises(ConfigurationError, match="save it as UTF-8"):
        read("a\n".encode("utf-16"))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_longest_line_is_still_a_line(end: bytes) -> None:
    assert read(b"x" * 10 + end) == [Line(1, b"x" * 10, b"x" * 10 + end)]


@pytest.mark.parametrize("length", [11, 12, 13, 100, 300_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_longer_line_comes_in_pieces_and_the_next_is_intact(length: int, end: bytes) -> None:
    long = b"x" * length + end
    assert read(long + b"next\n") == [(1, long), Line(2, b"next", b"next\n")]


def test_an_unread_long_line_is_skipped() -> None:
    lines = Lines(io.BytesIO(b"x" * 200_000 + b"\nnext\n" + b"y" * 99), "file", 10)
    assert [line.number for line in lines] == [1, 2, 3]


def test_a_long_line_is_never_held() -> None:
    class Endless(io.RawIOBase):
        left = 50_000_000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            size = min(len(buffer), self.left)
            buffer[:size] = b"z" * size
            self.left -= size
            return size

    [line] = [
        max(len(piece) for piece in line.pieces)
        for line in Lines(Endless(), "file", 1000)  # type: ignore[arg-type]
        if isinstance(line, LongLine)
    ]
    assert line < 100_000


def test_gzip_is_seen_by_its_content_also_in_several_members() -> None:
    assert read(gzip.compress(b"a\nb") + gzip.compress(b"\nc\n")) == read(b"a\nb\nc\n")


def test_a_truncated_gzip_hands_over_what_is_whole_and_says_where_it_broke_off() -> None:
    data = b"".join(b"%d,%d\n" % (n, random.Random(n).getrandbits(60)) for n in range(20_000))
    whole = data.splitlines()
    lines = Lines(io.BytesIO(gzip.compress(data)[:-50_000]), "f.gz", 100)
    got: list[bytes] = []
    with pytest.raises(Broken, match=r"f\.gz ends in the middle of its compressed data .* after line [0-9,]+\. "):
        got.extend(line.text for line in lines if isinstance(line, Line))
    assert 0 < len(got) < len(whole)
    assert got == whole[: len(got)]
    assert lines.number == len(got)


def test_damaged_gzip() -> None:
    with pytest.raises(Broken, match="damaged"):
        read(b"\x1f\x8bnot really")
