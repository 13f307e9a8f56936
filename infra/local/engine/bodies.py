"""Compression of bodies, both ways."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import lz4.frame
import zstandard

from infra.local.engine.errors import INCORRECT_DATA, NOT_IMPLEMENTED, QueryError


class _Decoder(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


def _gunzip() -> _Decoder:
    return zlib.decompressobj(wbits=31)


def _inflate() -> _Decoder:
    return zlib.decompressobj(wbits=15)


def _unzstd() -> _Decoder:
    return zstandard.ZstdDecompressor().decompressobj()


def _unlz4() -> _Decoder:
    return lz4.frame.LZ4FrameDecompressor()  # type: ignore[no-any-return]


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _gunzip, "x-gzip": _gunzip, "deflate": _inflate, "zstd": _unzstd, "lz4": _unlz4,
}
ENCODINGS = ("zstd", "lz4", "gzip", "deflate")  # of answers, the best first


def decode(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The plain bytes of a body in `encoding`; refuses one that is cut off or damaged.

    A body may consist of several members or frames (clickhouse-connect sends one frame a block).
    """
    if encoding in ("", "identity"):
        yield from chunks
        return
    new = _DECODERS.get(encoding)
    if new is None:
        known = ", ".join(_DECODERS)
        raise QueryError(NOT_IMPLEMENTED, f"Unknown compression method: {encoding}. Send one of {known}")
    decoder = new()
    begun = False
    try:
        for chunk in chunks:
            while chunk:
                plain = decoder.decompress(chunk)
                begun = True
                if plain:
                    yield plain
                chunk = b""
                if decoder.eof:  # type: ignore[attr-defined]
                    chunk = decoder.unused_data or b""  # type: ignore[attr-defined]
                    decoder, begun = new(), False
    except (zlib.error, zstandard.ZstdError, RuntimeError) as error:
        raise QueryError(INCORRECT_DATA, f"The body is no valid {encoding}: {error}") from None
    if begun:
        raise QueryError(INCORRECT_DATA, f"The body's {encoding} data are cut off")


def choose(accept: str | None) -> str | None:
    """The encoding of an answer, from Accept-Encoding; None is plain."""
    if not accept:
        return None
    offered = {part.split(";")[0].strip().lower() for part in accept.split(",") if ";q=0" not in part.replace(" ", "")}
    return next((encoding for encoding in ENCODINGS if encoding in offered), None)


class Encoder:
    """Compresses an answer piece by piece; the join of what `encode` and `finish` return is one valid stream."""

    def __init__(self, encoding: str) -> None:
        self._head = b""
        if encoding == "lz4":
            frame = lz4.frame.LZ4FrameCompressor()
            self._head = frame.begin()
            self._encode, self._finish = frame.compress, frame.flush
        elif encoding == "zstd":
            zstd = zstandard.ZstdCompressor(level=1).compressobj()
            self._encode, self._finish = zstd.compress, zstd.flush
        else:
            deflate = zlib.compressobj(level=3, wbits=31 if encoding == "gzip" else 15)
            self._encode, self._finish = deflate.compress, deflate.flush

    def encode(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._encode(data))

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._finish())

    def whole(self, data: bytes) -> bytes:
        return self.encode(data) + self.finish()


class Plain:
    """No compression."""

    def encode(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""

    def whole(self, data: bytes) -> bytes:
        return data


PLAIN = Plain()
