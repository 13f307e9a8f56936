"""A request's body: in memory while small, in a temporary file of the data folder when not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_MEMORY_BYTES = 64 << 20
_CHUNK_BYTES = 4 << 20


class Spool:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = self._new()
        self.size = 0

    def _new(self) -> tempfile.SpooledTemporaryFile[bytes]:
        return tempfile.SpooledTemporaryFile(_MEMORY_BYTES, dir=str(self._folder))

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)

    def head(self, limit: int) -> bytes:
        """The first `limit` bytes; -1 is all."""
        self._file.seek(0)
        return self._file.read(limit)

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        self._file.seek(offset)
        while data := self._file.read(_CHUNK_BYTES):
            yield data

    def replace(self, chunks: Iterable[bytes]) -> None:
        """Holds `chunks` from now on; they may read from what it held before."""
        before, after, size = self._file, self._new(), 0
        try:
            for chunk in chunks:
                after.write(chunk)
                size += len(chunk)
        except BaseException:
            after.close()
            raise
        self._file, self.size = after, size
        before.close()

    def close(self) -> None:
        self._file.close()
