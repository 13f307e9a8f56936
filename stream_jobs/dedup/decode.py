"""Reads a Kafka record's events by the contract, whatever the record holds: the careful way beside the fast one.

`schemas.fast` reads what is plain. This reads all of CloudEvents' modes and arrays with bad elements, element by
element, each with its bytes as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from schemas.array import elements
from schemas.event import BATCH, DATA, STRUCTURED, LoginEvent, event_from, read_event, read_json
from schemas.fast import Event, fast_form
from schemas.quarantine import Refusal
from stream_jobs.dedup.batch import Headers


class Item(NamedTuple):
    """One event of a record, or why it is none."""

    place: int
    """Index in the record's array; -1 for the record as a whole."""
    raw: bytes
    event: Event | Refusal


def read_carefully(raw: bytes | None, headers: Headers) -> Iterator[Item]:
    """Every event of a record, or its Refusal, by the contract. One bad event costs no neighbour."""
    kind = content_type(headers)
    try:
        if raw is None or not raw:
            raise Refusal("empty", "the record has no value")
        if kind == BATCH or (kind is None and raw.lstrip()[:1] == b"["):
            parts = elements(raw)
            if not parts:
                raise Refusal("empty", "the array has no event")
        elif kind in (None, STRUCTURED, DATA):
            parts = [raw]
        else:
            raise Refusal("not_an_event", "the record's content type is none of CloudEvents'")
    except Refusal as refusal:
        yield Item(-1, raw or b"", refusal)
        return
    for place, part in enumerate(parts):
        try:
            event = _binary_mode(part, headers) if kind == DATA else read_event(part)
            yield Item(place, part, fast_form(event))
        except Refusal as refusal:
            yield Item(place, part, refusal)


def content_type(headers: Headers) -> bytes | None:
    """The type by which a record is read, in lower case; DATA also for binary mode that names none."""
    for name, value in headers:
        if name.lower() == "content-type":
            return (value or b"").split(b";")[0].strip().lower()
    return DATA if any(name == "ce_specversion" for name, _ in headers) else None


def _binary_mode(raw: bytes, headers: Headers) -> LoginEvent:
    """CloudEvents' binary mode: attributes in `ce_` headers, the value is `data`."""
    event = {"data": read_json(raw)}
    for name, value in headers:
        if name.startswith("ce_"):
            if name[3:] in event:
                raise Refusal("duplicate_member", f"header {name!a} stands twice, or beside the value")
            try:
                event[name[3:]] = None if value is None else value.decode("utf-8")
            except UnicodeDecodeError:
                raise Refusal("not_utf8", f"header {name!a} is not UTF-8") from None
    return event_from(event)
