"""A JSON array of events (our extension of CloudEvents), taken apart so that a bad element costs no other."""

from __future__ import annotations

import re

import msgspec

from schemas.quarantine import Refusal

_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


def elements(raw: bytes) -> list[bytes]:
    """The elements of a JSON array, each with its bytes as they came, whether they are JSON or not.

    Raises Refusal("not_json") when the array itself cannot be told apart, as when it was cut off.
    """
    try:
        return [bytes(part) for part in _raws(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        parts = _split(raw)
        if parts is None:
            raise Refusal("not_json", f"not an array of events: {error}") from None
        return parts


def tight_elements(raw: bytes, count: int, objects: int) -> list[bytes] | None:
    """As `elements`, several times faster, for what was read as an array of `count` objects, `objects` JSON objects
    in all. None where there is white space between them, or a brace in a text.

    With no `{` but those of the objects, `},{` stands nowhere but between elements.
    """
    if raw[:2] != b"[{" or raw[-2:] != b"}]" or raw.count(b"{") != objects:
        return None
    parts = raw[2:-2].split(b"},{")
    return [b"{%b}" % part for part in parts] if len(parts) == count else None


_MARK = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{},]', re.DOTALL)


def _split(raw: bytes) -> list[bytes] | None:
    """The elements of an array with an element that is not JSON, by brackets and strings alone; None if cut off."""
    parts: list[bytes] = []
    depth = start = 0
    if raw.lstrip()[:1] != b"[":
        return None
    for found in _MARK.finditer(raw):
        mark = found.group()
        if mark in b"[{":
            depth += 1
            start = start or found.end()
        elif mark == b'"':  # without its counterpart
            return None
        elif depth == 1 and mark in b",]}":
            parts.append(raw[start : found.start()].strip())
            start = found.end()
        if mark in b"]}":
            depth -= 1
            if depth == 0:
                return parts if not raw[start:].strip() else None
    return None
