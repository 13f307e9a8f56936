"""What a running reader could not read as logins: one record a line, for `rollcall push` when somebody has mended it.

Its lines are told in the reader's reports, and a close tells of them, until the file is taken away.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.errors import ConfigurationError


class RefusalFile:
    """`limit`: bytes that it never grows beyond."""

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self.path, self._limit = path, limit

    def add(self, lines: Sequence[bytes]) -> None:
        """All of them, each with its line feed, or none; durable when this returns. Raises OSError."""
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
            cut = size > 0 and os.pread(file, 1, size - 1) != b"\n"  # by a machine that failed
            block = memoryview(b"\n" * cut + b"".join(lines))
            if self._limit is not None and size + len(block) > self._limit:
                raise OSError(errno.EFBIG, f"it has its {self._limit:,} bytes")
            try:
                while block:
                    block = block[os.write(file, block) :]
                os.fsync(file)
            except OSError:
                os.ftruncate(file, size)
                raise
        finally:
            os.close(file)

    def lines(self) -> Iterator[bytes]:
        """What waits there to be mended, line feeds included. Raises ConfigurationError."""
        try:
            with self.path.open("rb") as file:
                yield from (line for line in file if line != b"\n")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read ({error.strerror}); mend its permissions") from None
