"""Reject files: the lines that the contract refused, kept so that a person can mend and push them.

Beside each other in the folder of rejects (mode 0700: they hold clear names), for a pushed file `logins.csv`:

- `logins.csv.1f3a9c2b.rejects`: the refused lines, bytes as they came, in the file's order, behind the header
  if the file has one. Mend it in any editor, then push it with the same command, this file's name in place of
  the first one's. (sshd logs without a year: --year is the year of *its* first line; the table says it.)
- `logins.csv.1f3a9c2b.reasons.tsv`: one row a refused line: its line in the reject file, its line in the
  pushed file, the reason code, what is wrong.

The eight digits stand for the file's path, so that files of one name in two folders do not meet. Both files
are what the last whole push of that file refused: the next push replaces them, or removes them when nothing is
refused any more. A reject file that was edited since is neither: it moves aside, to `….mended-1.rejects` and so on.
Standard input cannot be read again, so its rejects are never replaced: they are numbered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from zlib import crc32

from infra.errors import ConfigurationError
from schemas.quarantine import Refusal

STANDARD_INPUT = "-"
HEADER = b"reject_line\tline\treason\tdetail\n"


class RejectFile:
    """Opened for one pushed file; keeps nothing on disk until the first refused line.

    Leaving the block puts both files in their place; leaving it by an exception throws what was gathered away
    and leaves the last push's files alone (but keeps it for standard input).
    """

    def __init__(self, folder: Path, file: str, name: str) -> None:
        self._once = file == STANDARD_INPUT
        self.path = _numbered(folder) if self._once else folder / f"{_stem(file, name)}.rejects"
        self._reasons = self.path.with_name(f"{self.path.name.removesuffix('.rejects')}.reasons.tsv")
        self._parts: tuple[BinaryIO, BinaryIO] | None = None
        self._line = 1
        self.count = 0

    @property
    def written(self) -> Path | None:
        """Where the refused lines are, or None if there are none."""
        return self.path if self.count else None

    def add(self, number: int, raw: Iterable[bytes], refusal: Refusal, preamble: bytes) -> None:
        """Keeps one refused line (or row of several); `preamble` goes before the first."""
        self.count += 1
        with self._kept_safely():
            lines, reasons = self._parts or self._begin(preamble)
            reasons.write(f"{self._line}\t{number}\t{refusal.reason}\t{_one_line(refusal.detail)}\n".encode())
            last = b""
            for piece in raw:
                lines.write(piece)
                self._line += piece.count(b"\n")
                last = piece[-1:]
            if last != b"\n":
                lines.write(b"\n")
                self._line += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._kept_safely():
            if self._parts is not None:
                self._place(whole=kind is None or self._once)
            elif kind is None and self._reasons.parent.is_dir():
                self._spare_edits()
                self._reasons.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)

    def _begin(self, preamble: bytes) -> tuple[BinaryIO, BinaryIO]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines, reasons = self._parts = _private(_part(self.path)), _private(_part(self._reasons))
        lines.write(preamble)
        reasons.write(HEADER)
        self._line += preamble.count(b"\n")
        return self._parts

    def _place(self, *, whole: bool) -> None:
        assert self._parts is not None
        if whole:
            self._spare_edits()
        for part, path in zip(self._parts, (self.path, self._reasons), strict=True):
            with part:
                part.flush()
                os.fsync(part.fileno())
            if whole:
                _part(path).replace(path)
            else:
                _part(path).unlink(missing_ok=True)
        if whole:
            os.utime(self._reasons)  # newer than the lines, until somebody edits those

    def _spare_edits(self) -> None:
        """Moves a reject file aside that somebody has begun to mend."""
        if self.path.exists() and (
            not self._reasons.exists() or self.path.stat().st_mtime_ns > self._reasons.stat().st_mtime_ns
        ):
            number = 1
            while (aside := self.path.with_suffix(f".mended-{number}.rejects")).exists():
                number += 1
            self.path.rename(aside)

    @contextmanager
    def _kept_safely(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"refused lines cannot be kept in {self.path.parent} ({error.strerror or error}): make room, or make "
                f"it a folder that you may write to, or set ROLLCALL_HOME to another place; then push again"
            ) from None


def _stem(file: str, name: str) -> str:
    return f"{name}.{crc32(os.fsencode(os.path.realpath(file))):08x}"


def _numbered(folder: Path) -> Path:
    number = 1
    while (path := folder / f"standard-input.{number}.rejects").exists():
        number += 1
    return path


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _one_line(text: str) -> str:
    return " ".join(text.split())
