"""Syslog messages out of a stream of bytes, RFC 6587: octet counting (`57 <110>1 …`), or a line feed behind each.

A message that begins with a digit is counted, any other ends with its line. Which it is, is seen anew at every message.
"""

from __future__ import annotations

import re
from typing import Final

_COUNT: Final = re.compile(rb"([1-9][0-9]{0,8}) ")
_MAY_BE_COUNT: Final = re.compile(rb"[1-9][0-9]{0,8}")


class Framing:
    """Of one connection. `limit`: bytes of the longest message; a longer one is passed by, and counted (`too_long`)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._skip = 0
        """Of a counted message that is too long: bytes still to come."""
        self._skip_line = False
        self.too_long = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now, in order, without what frames them; no empty ones."""
        self._buffer += data
        found, at = list[bytes](), 0
        while (step := self._next(at)) is not None:
            message, at = step
            if message:
                found.append(message)
        del self._buffer[:at]
        return found

    @property
    def rest(self) -> bytes:
        """What came of a message that is not whole."""
        return bytes(self._buffer)

    def _next(self, at: int) -> tuple[bytes, int] | None:
        """The message that begins at `at`, and where the next one does; None when more must come."""
        size = len(self._buffer)
        if self._skip:
            skipped = min(self._skip, size - at)
            self._skip -= skipped
            return (b"", at + skipped) if skipped else None
        if self._skip_line:
            end = self._buffer.find(b"\n", at)
            self._skip_line = end < 0
            return (b"", size if end < 0 else end + 1) if at < size else None
        if count := _COUNT.match(self._buffer, at):
            length, begin = int(count[1]), count.end()
            if length > self._limit:
                self.too_long += 1
                self._skip = length
                return b"", begin
            end = begin + length
            return (bytes(self._buffer[begin:end]).strip(b"\r\n\0"), end) if end <= size else None
        if (digits := _MAY_BE_COUNT.match(self._buffer, at)) and digits.end() == size:
            return None
        end = self._buffer.find(b"\n", at)
        if end < 0:
            if size - at > self._limit:
                self.too_long += 1
                self._skip_line = True
                return b"", size
            return None
        if end - at > self._limit:
            self.too_long += 1
            return b"", end + 1
        return bytes(self._buffer[at:end]).strip(b"\r\0"), end + 1
