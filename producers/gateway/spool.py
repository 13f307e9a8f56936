"""The spool: what was promised to senders while Kafka was away, on disk until Kafka has it.

A folder of segments, `0000000001.spool` and so on, each a run of frames: length and CRC-32 (4 bytes each, big-endian),
then a JSON array of events. A frame counts when it was fsynced; nobody was told that anything behind the last whole
frame is safe. Segments are read oldest first and removed when Kafka has acknowledged all that is in them, so a crash
sends some events twice (harmless) and none never.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final
from zlib import crc32

from infra.errors import ConfigurationError

SEGMENT_BYTES: Final = 16 << 20
_HEADER: Final = struct.Struct(">II")
log = logging.getLogger("rollcall.gateway")


class SpoolFull(Exception):
    """There is no room, or the disk fails: the events are not stored. The sentence is for the log."""


class Spool:
    """One process's spool. Appending and reading may be done from different threads.

    Raises ConfigurationError when the folder cannot be used or another process has it.
    """

    def __init__(self, folder: Path, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._limit, self._clock = folder, limit, clock
        self._guard = threading.Lock()
        self._open: tuple[Path, FileIO] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            sync_folder(folder.parent)
            self._lock = open(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+b")  # noqa: SIM115
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._segments = {path: path.stat().st_size for path in sorted(folder.glob("*.spool"))}
        except BlockingIOError:
            raise ConfigurationError(
                f"the spool {folder} is in use by another gateway: give each its own (ROLLCALL_GATEWAY_SPOOL)"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"the spool {folder} cannot be used ({error.strerror}): make it a folder that you may write to, or "
                f"name another in ROLLCALL_GATEWAY_SPOOL"
            ) from None
        self._next = 1 + max((int(path.stem) for path in self._segments if path.stem.isdecimal()), default=0)

    @property
    def size(self) -> int:
        """What waits for Kafka."""
        return sum(list(self._segments.values()))  # without the guard: an append holds it while the disk writes

    @property
    def too_large(self) -> int:
        """Files of events that Kafka would not take: they were promised, and are where only a person can help."""
        return sum(1 for _ in self._folder.glob("*.too-large"))

    @property
    def room(self) -> bool:
        """Whether something can be stored; False from nine tenths on, so that what is on its way still fits."""
        return self.size < self._limit - self._limit // 10

    @property
    def oldest_seconds(self) -> float:
        """Since the oldest segment was last written to; 0 when the spool is empty."""
        path = next(iter(list(self._segments)), None)
        try:
            return max(0.0, self._clock() - path.stat().st_mtime) if path else 0.0
        except FileNotFoundError:
            return 0.0

    def append(self, payload: bytes) -> None:
        """Stores one frame; it is on the disk when this returns. Raises SpoolFull when it is not."""
        frame = _HEADER.pack(len(payload), crc32(payload)) + payload
        with self._guard:
            if sum(self._segments.values()) + len(frame) > self._limit:
                raise SpoolFull(
                    f"the spool has its {self._limit:,} bytes: bring Kafka back, or raise gateway.spool_bytes"
                )
            try:
                path, file = self._open or self._begin()
                if file.write(frame) != len(frame):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fdatasync(file.fileno())
            except OSError as error:
                # What the disk holds of this segment's end is not known any more: nothing is added behind it.
                self._seal()
                raise SpoolFull(f"the spool {self._folder} cannot be written ({error.strerror})") from None
            self._segments[path] += len(frame)
            if self._segments[path] >= SEGMENT_BYTES:
                self._seal()

    def oldest(self) -> Path | None:
        """The oldest segment, which gets no further frames; None when the spool is empty."""
        with self._guard:
            path = next(iter(self._segments), None)
            if path is not None and self._open is not None and path == self._open[0]:
                self._seal()
            return path

    def read(self, segment: Path) -> Iterator[bytes]:
        """Each frame's payload, in order. What is no whole frame is kept aside and told, not thrown away."""
        rest: list[bytes] = []
        with segment.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while header := file.read(_HEADER.size):
                length, check = _HEADER.unpack(header) if len(header) == _HEADER.size else (size, 0)
                whole = 0 < length <= size - file.tell()
                payload = file.read(length)
                if whole and crc32(payload) == check:
                    yield payload
                else:
                    rest += [header, payload]
        if rest:
            self.put_aside(segment, b"".join(rest), ".rest")
            log.warning(
                "%s: %d bytes are no whole frame: at its end a crash while they were written, and nobody was told that "
                "they are safe; elsewhere a damaged disk. They are kept beside it as ….rest",
                segment.name, sum(map(len, rest)),
            )  # fmt: skip

    def remove(self, segment: Path) -> None:
        """Kafka has acknowledged all that is in it."""
        segment.unlink(missing_ok=True)
        sync_folder(self._folder)
        with self._guard:
            self._segments.pop(segment, None)

    def put_aside(self, segment: Path, content: bytes, suffix: str) -> None:
        """Keeps what cannot be sent on for a person to look at, under the segment's name."""
        aside = segment.with_suffix(suffix)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o600)

    def close(self) -> None:
        with self._guard:
            self._seal()
        self._lock.close()

    def _begin(self) -> tuple[Path, FileIO]:
        path = self._folder / f"{self._next:010d}.spool"
        self._next += 1
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._open = path, os.fdopen(handle, "wb", buffering=0)
        self._segments[path] = 0
        sync_folder(self._folder)
        return self._open

    def _seal(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def sync_folder(folder: Path) -> None:
    """Makes durable that its files begin, end or are renamed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
