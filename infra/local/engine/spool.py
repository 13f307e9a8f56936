"""A request's body: in memory while small, in the data folder's temporary file when not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

MEMORY_BYTES = 64 << 20
_CHUNK = 4 << 20


class Spool:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = cast(IO[bytes], tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=folder))  # noqa: SIM115
        self.size = 0

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)

    def head(self, limit: int) -> bytes:
        self._file.seek(0)
        return self._file.read(limit)

    def read(self) -> bytes:
        return self.head(-1)

    def chunks(self) -> Iterator[bytes]:
        return self.chunks_from(0)

    def chunks_from(self, offset: int) -> Iterator[bytes]:
        self._file.seek(offset)
        while data := self._file.read(_CHUNK):
            yield data

    def replaced_by(self, chunks: Iterable[bytes]) -> Spool:
        """A spool of `chunks` (which may read this one) in this one's place; this one is closed."""
        other = Spool(self._folder)
        try:
            for chunk in chunks:
                other.add(chunk)
        except BaseException:
            other.close()
            raise
        self.close()
        return other

    def close(self) -> None:
        self._file.close()
