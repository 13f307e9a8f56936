"""Directory exports: of RFC 2849 what such a file holds, records of `attribute: value`, folded, some in base64.

Pure. Change records (`changetype:`) are no export and are refused.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from typing import NamedTuple

Entry = dict[str, list[bytes]]
"""Values by the attribute's name in lower case, without options such as `;binary`."""


class Placed(NamedTuple):
    line: int
    """Where the entry begins, from 1 on."""
    entry: Entry


def entries(text: str) -> Iterator[Placed]:
    """The records of an LDIF text. Raises ValueError with the line for what is none."""
    entry: Entry = {}
    begin = 0
    for number, line in _unfolded(text):
        if not line:
            if entry:
                yield Placed(begin, entry)
            entry = {}
            continue
        name, colon, rest = line.partition(":")
        if not colon:
            raise ValueError(f"line {number}: {line[:40]!r} is no `attribute: value`")
        attribute = name.partition(";")[0].strip().lower()
        if attribute == "version" and not entry:
            continue
        if attribute == "changetype":
            raise ValueError(f"line {number}: a change record; export the entries themselves")
        if not entry:
            begin = number
        entry.setdefault(attribute, []).append(_value(rest, number))
    if entry:
        yield Placed(begin, entry)


def sid_text(raw: bytes) -> str:
    """`S-1-5-21-…` of a binary SID ([MS-DTYP] 2.4.2.2), or of one that is text already. ValueError for neither."""
    if raw[:2].upper() == b"S-":
        return raw.decode("ascii").upper()
    if len(raw) < 8 or len(raw) != 8 + 4 * raw[1]:
        raise ValueError("objectSid is neither a SID's bytes nor S-1-…")
    authority = int.from_bytes(raw[2:8], "big")
    parts = struct.unpack(f"<{raw[1]}I", raw[8:])
    return "-".join(["S", str(raw[0]), str(authority), *map(str, parts)])


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Each logical line with its number; comments are left out."""
    held, begin = "", 0
    for number, line in enumerate([*text.splitlines(), "", ""], start=1):
        if line.startswith(" ") and begin:
            held += line[1:]
            continue
        if begin and not held.startswith("#"):
            yield begin, held
        held, begin = line, number


def _value(rest: str, number: int) -> bytes:
    if rest.startswith("<"):
        raise ValueError(f"line {number}: a value by URL; export it with its values")
    if not rest.startswith(":"):
        return rest.lstrip(" ").encode()
    try:
        return base64.b64decode(rest[1:].strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"line {number}: not base64") from None
