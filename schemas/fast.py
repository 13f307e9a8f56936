"""The contract's fast reader: msgspec where that is sure to agree with the model, else the contract must decide.

The law: this reader may only accept what `schemas.event` accepts, with the same meaning. What msgspec does not look
at is looked at here, over the bytes of many events at once:

- a member named twice: members stand between commas, so a count of commas that fits the members that were read leaves
  no room for another one. Texts with commas make it too large; then quotes are counted, two for each member and each
  string value (an escaped one only makes the count too large);
- characters that CloudEvents forbids: printable ASCII without an escape holds none, other text is tested by string;
- a time whose seventh digit would round it up into the next second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.event import MAX_ID, MAX_NAME, MAX_SUBJECT, LoginEvent

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


class _Attributes(Struct, forbid_unknown_fields=True, gc=False):
    """CloudEvents' attributes that every event has; `time` is aware."""

    specversion: Literal["1.0"]
    id: _Long
    source: _Long
    type: Literal["rollcall.login.v1"]
    time: Annotated[datetime, Meta(tz=True)]
    subject: Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT)]


class PlainEvent(_Attributes, forbid_unknown_fields=True, gc=False):
    """An event with the required members and no other: the commas and quotes of its JSON are known."""

    data: PlainData
    datacontenttype: ClassVar[UnsetType] = UNSET
    dataschema: ClassVar[UnsetType] = UNSET


class Event(_Attributes, forbid_unknown_fields=True, gc=False):
    """A login event with any of the members that the contract knows."""

    data: Data
    datacontenttype: _Name | UnsetType = UNSET
    dataschema: _Long | UnsetType = UNSET


Login = PlainEvent | Event


class _Way(NamedTuple):
    """A reader of one form of event: of one, and of an array of them."""

    one: Callable[[bytes], Login]
    list: Callable[[bytes], list[Any]]


def _way(form: type[Login]) -> _Way:
    return _Way(msgspec.json.Decoder(form).decode, msgspec.json.Decoder(list[form]).decode)  # type: ignore[valid-type]


_PLAIN, _ANY = _way(PlainEvent), _way(Event)

# specversion, id, source, type, time and subject have four quotes each, data two, and so have tenant and sku four.
_PLAIN_QUOTES = 6 * 4 + 2 + 2 * 4
# Between the seven members, and between those of data.
_PLAIN_COMMAS = 6 + 1


class Reader:
    """Reads events of any names; of tenants and SKUs that are named here it makes no new texts: an event that names
    one holds that very object, and is read a fifth faster. What is accepted, and its meaning, do not depend on them.
    """

    def __init__(self, tenants: Iterable[str] = (), skus: Iterable[str] = ()) -> None:
        known = [tuple(name for name in names if 0 < len(name) <= MAX_NAME) for names in (tenants, skus)]
        self._ways = (_way(_naming(*known)), _PLAIN, _ANY) if all(known) else (_PLAIN, _ANY)

    def read_fast(self, raw: bytes) -> Sequence[Login] | None:
        """The events of one record's value (an object, or an array of them), or None when the contract must decide."""
        if raw[:1] == b"[":
            return self._accepted(raw, lambda way: way.list(raw), 1)
        return self.read_run([raw])

    def read_run(self, values: Sequence[bytes]) -> Sequence[Login] | None:
        """The events of a run of records with one event each, in order, or None when they must be read one by one."""
        return self._accepted(b"".join(values), lambda way: list(map(way.one, values)), 0)

    def _accepted(self, raw: bytes, read: Callable[[_Way], list[Any]], between: int) -> Sequence[Login] | None:
        """The events, plain if they all are, where the contract is sure to accept them with the same meaning.

        `between` two events stand so many commas.
        """
        for way in self._ways:
            try:
                events = read(way)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            return events if _once(raw, events, way is not _ANY, between) and _agreed(raw, events) else None
        return None


_reader = Reader()
read_fast, read_run = _reader.read_fast, _reader.read_run


def _naming(tenants: tuple[str, ...], skus: tuple[str, ...]) -> type[PlainEvent]:
    """Plain events whose tenant and SKU are among these."""
    data = msgspec.defstruct(
        "NamedData", [("tenant", Literal[tenants]), ("sku", Literal[skus])], bases=(PlainData,),
        forbid_unknown_fields=True, gc=False,
    )  # fmt: skip
    event = msgspec.defstruct("NamedEvent", [("data", data)], bases=(PlainEvent,), forbid_unknown_fields=True, gc=False)
    return cast(type[PlainEvent], event)


def _once(raw: bytes, events: Sequence[Login], plain: bool, between: int) -> bool:
    """Whether no member is named twice, and each event says what was logged in to."""
    if plain:
        commas, quotes = len(events) * _PLAIN_COMMAS + between * (len(events) - 1), len(events) * _PLAIN_QUOTES
    elif any(event.data.sku is UNSET and event.data.product is UNSET for event in events):
        return False
    else:
        commas, quotes = -1, sum(map(_quotes, events))
    # Every event has at least its commas, or its quotes, so their sum leaves no room for a member named twice.
    return bool(events) and (raw.count(b",") == commas or raw.count(b'"') == quotes)


def _agreed(raw: bytes, events: Sequence[Login]) -> bool:
    """Whether texts and times are sure to mean to the contract what they mean here."""
    escaped = b"\\" in raw
    odd = escaped or not raw.isascii() or b"\x7f" in raw
    if odd and not all(map(_printable, events)):
        return False
    if (odd or (b" " in raw and b'" ' in raw)) and any(event.subject.isspace() for event in events):
        return False
    if 0 not in [event.time.microsecond for event in events]:
        return True  # a time that was rounded up into the next second has none
    hidden = escaped and (b"\\u002" in raw or b"\\u003" in raw)  # a dot or a digit as an escape
    return not hidden and b".999999" not in raw


def fast_form(event: LoginEvent) -> Event:
    """The contract's event as the hot path holds it."""
    return msgspec.convert(event.model_dump(exclude_none=True), Event)


def _quotes(event: Login) -> int:
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
