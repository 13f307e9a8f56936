"""A zip of evidence: the same members give the same bytes, and a manifest of SHA-256 closes it.

A member of any size is written as it comes, so none is held in memory.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

MANIFEST = "MANIFEST.sha256"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can tell: no clock is in it."""
_UNIX = 3
_LARGE = 1 << 30
"""From here on a member gets the fields of large files, which old tools do not know."""


class Member:
    """One file of the zip while it is written."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._digest = hashlib.sha256()

    def write(self, content: bytes) -> None:
        self._digest.update(content)
        self._out.write(content)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()


class Pack:
    """Members in the order in which they are given, one at a time; `finish` adds the manifest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = ZipFile(file, "w", ZIP_DEFLATED)
        self._digests: dict[str, str] = {}

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @contextmanager
    def member(self, name: str, about: int = 0) -> Iterator[Member]:
        """`about` is how many bytes it will have, roughly."""
        if name in self._digests:
            raise ValueError(f"{name} is in the zip already")
        info = ZipInfo(name, _EPOCH)
        info.compress_type, info.create_system, info.external_attr = ZIP_DEFLATED, _UNIX, 0o100644 << 16
        with self._zip.open(info, "w", force_zip64=about > _LARGE) as out:
            member = Member(out)
            yield member
        self._digests[name] = member.sha256

    def put(self, name: str, content: bytes) -> None:
        with self.member(name, len(content)) as out:
            out.write(content)

    def finish(self) -> str:
        """Writes the manifest; returns its SHA-256."""
        content = manifest(self._digests)
        self.put(MANIFEST, content)
        return hashlib.sha256(content).hexdigest()


def manifest(digests: dict[str, str]) -> bytes:
    """As `find . -type f -exec sha256sum {} + | LC_ALL=C sort -k 2` prints them, by member."""
    return "".join(f"{digests[name]}  ./{name}\n" for name in sorted(digests)).encode()


@contextmanager
def replacing(file: Path) -> Iterator[IO[bytes]]:
    """A file beside it, which takes its place when all went well and is removed when not. Only its owner may read it.

    Raises OSError.
    """
    handle, beside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with open(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
