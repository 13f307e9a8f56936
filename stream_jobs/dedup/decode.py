"""Reads login events out of Kafka records: fast where that is sure to agree with the contract, else by the contract.

The law: the fast reader may only accept what `schemas.event` accepts, with the same meaning; whatever it refuses,
the contract decides. What msgspec does not look at is looked at here, over the bytes of a whole record at once:

- a member named twice: each member and each string value has two quotes, so a count that fits the members that
  were read leaves no room for another one (an escaped quote only makes the count too large);
- characters that CloudEvents forbids: printable ASCII without an escape holds none, other text is tested by string;
- a time whose seventh digit would round it up into the next second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.event import (
    BATCH,
    DATA,
    MAX_ID,
    MAX_NAME,
    MAX_SUBJECT,
    STRUCTURED,
    LoginEvent,
    event_from,
    read_event,
    read_json,
)
from schemas.quarantine import Refusal
from stream_jobs.dedup.batch import Headers

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Long = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]


class Identities(Struct, forbid_unknown_fields=True, gc=False):
    upn: _Name | UnsetType = UNSET
    sid: _Name | UnsetType = UNSET
    sam: _Name | UnsetType = UNSET


class Data(Struct, forbid_unknown_fields=True, gc=False):
    tenant: _Name | UnsetType = UNSET
    sku: _Name | UnsetType = UNSET
    product: _Name | UnsetType = UNSET
    identities: Identities | UnsetType = UNSET


class PlainData(Struct, forbid_unknown_fields=True, gc=False):
    """What most events name, and nothing else."""

    tenant: _Name
    sku: _Name
    product: ClassVar[UnsetType] = UNSET
    identities: ClassVar[UnsetType] = UNSET


class PlainEvent(Struct, forbid_unknown_fields=True, gc=False):
    """An event with the required members and no other: the quotes of its JSON are known."""

    specversion: Literal["1.0"]
    id: _Long
    source: _Long
    type: Literal["rollcall.login.v1"]
    time: Annotated[datetime, Meta(tz=True)]
    subject: Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT)]
    data: PlainData
    datacontenttype: ClassVar[UnsetType] = UNSET
    dataschema: ClassVar[UnsetType] = UNSET


class Event(Struct, forbid_unknown_fields=True, gc=False):
    """A login event with any of the members that the contract knows; `time` is aware."""

    specversion: Literal["1.0"]
    id: _Long
    source: _Long
    type: Literal["rollcall.login.v1"]
    time: Annotated[datetime, Meta(tz=True)]
    subject: Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT)]
    data: Data
    datacontenttype: _Name | UnsetType = UNSET
    dataschema: _Long | UnsetType = UNSET


Login = PlainEvent | Event


class Item(NamedTuple):
    """One event of a record, or why it is none."""

    place: int
    """Index in the record's array; -1 for the record as a whole."""
    raw: bytes
    event: Event | Refusal


_plain = msgspec.json.Decoder(PlainEvent).decode
_plain_list = msgspec.json.Decoder(list[PlainEvent]).decode
_one = msgspec.json.Decoder(Event).decode
_list = msgspec.json.Decoder(list[Event]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode

# specversion, id, source, type, time and subject have four quotes each, data two, and so have tenant and sku four.
_PLAIN_QUOTES = 6 * 4 + 2 + 2 * 4


def read_fast(raw: bytes) -> Sequence[Login] | None:
    """The events of one record's value (an object, or an array of them), or None when the contract must decide."""
    if raw[:1] == b"[":
        return _accepted(raw, lambda: _plain_list(raw), lambda: _list(raw))
    return read_run([raw])


def read_run(values: Sequence[bytes]) -> Sequence[Login] | None:
    """The events of a run of records with one event each, in order, or None when they must be read one by one."""
    return _accepted(b"".join(values), lambda: [_plain(raw) for raw in values], lambda: [_one(raw) for raw in values])


def _accepted(
    raw: bytes, plain: Callable[[], list[PlainEvent]], any_: Callable[[], list[Event]]
) -> Sequence[Login] | None:
    """The events, plain if they all are, where the contract is sure to accept them with the same meaning."""
    try:
        events: Sequence[Login] = plain()
        quotes = len(events) * _PLAIN_QUOTES
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            found = any_()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if any(event.data.sku is UNSET and event.data.product is UNSET for event in found):
            return None
        events, quotes = found, sum(map(_quotes, found))
    # Every event has at least its quotes, so their sum leaves no room for a member named twice.
    return events if events and raw.count(b'"') == quotes and _agreed(raw, events) else None


def _agreed(raw: bytes, events: Sequence[Login]) -> bool:
    """Whether texts and times are sure to mean to the contract what they mean here."""
    escaped = b"\\" in raw
    odd = escaped or not raw.isascii() or b"\x7f" in raw
    if odd and not all(map(_printable, events)):
        return False
    if (odd or (b" " in raw and b'" ' in raw)) and any(event.subject.isspace() for event in events):
        return False
    hidden = escaped and (b"\\u002" in raw or b"\\u003" in raw)  # a dot or a digit as an escape
    whole = [event for event in events if not event.time.microsecond]
    return not whole or not (hidden or b".999999" in raw)  # may have been rounded up into the next second


def read_carefully(raw: bytes | None, headers: Headers) -> Iterator[Item]:
    """Every event of a record, or its Refusal, by the contract. One bad event costs no neighbour."""
    kind = content_type(headers)
    try:
        if raw is None or not raw:
            raise Refusal("empty", "the record has no value")
        if kind == BATCH or (kind is None and raw.lstrip()[:1] == b"["):
            parts = _parts(raw)
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


def fast_form(event: LoginEvent) -> Event:
    """The contract's event as the hot path holds it."""
    return msgspec.convert(event.model_dump(exclude_none=True), Event)


def content_type(headers: Headers) -> bytes | None:
    """The type by which a record is read, in lower case; DATA also for binary mode that names none."""
    for name, value in headers:
        if name.lower() == "content-type":
            return (value or b"").split(b";")[0].strip().lower()
    return DATA if any(name == "ce_specversion" for name, _ in headers) else None


def _parts(raw: bytes) -> list[bytes]:
    """The elements of a JSON array, each with its bytes as they came, whether they are JSON or not."""
    try:
        return [bytes(part) for part in _raws(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        parts = _split(raw)
        if parts is None:
            raise Refusal("not_json", f"not an array of events: {error}") from None
        return parts


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


def _quotes(event: Event) -> int:
    data = event.data
    strings = 6 + sum(
        value is not UNSET
        for value in (event.datacontenttype, event.dataschema, data.tenant, data.sku, data.product)
    )
    if isinstance(data.identities, Identities):
        extra = data.identities
        return 4 * strings + 4 + 4 * sum(v is not UNSET for v in (extra.upn, extra.sid, extra.sam))
    return 4 * strings + 2


def _printable(event: Login) -> bool:
    data, extra = event.data, event.data.identities
    texts: list[object] = [event.id, event.source, event.subject, event.datacontenttype, event.dataschema]
    texts += [data.tenant, data.sku, data.product]
    if isinstance(extra, Identities):
        texts += [extra.upn, extra.sid, extra.sam]
    return all(text is UNSET or (isinstance(text, str) and text.isprintable()) for text in texts)
