"""CloudEvents' HTTP binding 1.0.2 in JSON: from a request's headers and body to events as structured JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from schemas.array import elements, tight_elements
from schemas.event import BATCH, STRUCTURED, read_json
from schemas.fast import Login, PlainEvent, read_fast, read_run
from schemas.quarantine import Refusal

_MODES: Final = (
    "send application/cloudevents+json (one event), application/cloudevents-batch+json (an array of them), or "
    "application/json with the event's attributes in ce- headers"
)
_ATTRIBUTE: Final = re.compile(r"[a-z0-9]{1,64}")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The events of a request, each with its bytes; and as the fast reader has them, None where that is not sure."""

    events: list[bytes]
    read: Sequence[Login] | None
    batch: bool


class Unreadable(Exception):
    """The request as a whole holds no events: the HTTP status, and the sentence for the sender."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def unpack(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Unpacked:
    """The events, not yet judged. `headers` have lower-case names. Raises Unreadable."""
    content_type, attributes = b"", dict[str, str]()
    for name, value in headers:
        if name == b"content-type":
            if content_type:
                raise Unreadable(400, "the header content-type stands twice: send it once")
            content_type = value
        elif name.startswith(b"ce-"):
            attribute = name[3:].decode("latin-1")
            if attribute in attributes:
                raise Unreadable(400, f"the header ce-{attribute} stands twice: send it once")
            attributes[attribute] = _text(attribute, value)
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise Unreadable(415, "the body is compressed (content-encoding): send it as it is")
    kind = _kind(content_type)
    if kind == BATCH:
        return _batch(body.lstrip(b" \t\r\n"))
    if kind == STRUCTURED:
        return Unpacked([body], read_run([body]), False)
    if "specversion" not in attributes:
        named = f"content-type is {kind.decode('latin-1')[:100]!r}" if kind else "there is no content-type"
        raise Unreadable(415, f"{named}, and there is no ce-specversion: {_MODES}")
    if kind and kind != b"application/json" and not kind.endswith(b"+json"):
        raise Unreadable(415, f"content-type is {kind.decode('latin-1')[:100]!r}, but data is JSON here: {_MODES}")
    event = _binary(attributes, kind, body)
    return Unpacked([event], read_run([event]), False)


def _kind(content_type: bytes) -> bytes:
    kind, _, parameters = content_type.partition(b";")
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset" and value.strip().strip(b'"').lower() not in (b"utf-8", b"utf8"):
            raise Unreadable(415, f"charset is {value.decode('latin-1')[:50]!r}: send UTF-8")
    return kind.strip().lower()


def _batch(body: bytes) -> Unpacked:
    if body[:1] != b"[":
        raise Unreadable(400, "the batch is not a JSON array of events: put [ ] around them, and commas between")
    read = read_fast(body)
    if read and isinstance(read[0], PlainEvent):  # two objects each: the event and its data
        tight = tight_elements(body, len(read), 2 * len(read))
        if tight is not None:
            return Unpacked(tight, read, True)
    try:
        return Unpacked(elements(body), read, True)
    except Refusal as refusal:
        raise Unreadable(400, f"the batch cannot be told apart ({refusal.detail}): was it cut off?") from None


def _binary(attributes: dict[str, str], kind: bytes, body: bytes) -> bytes:
    """Attributes from headers, `data` from the body; the same event in structured mode."""
    for name in attributes:
        if not _ATTRIBUTE.fullmatch(name) or name in ("data", "datacontenttype"):
            raise Unreadable(400, f"ce-{name[:64]} is no attribute that a header may carry: leave it out")
    if kind:
        attributes["datacontenttype"] = kind.decode("latin-1")
    if not body.strip():
        raise Unreadable(400, 'the body is empty: in binary mode it is the event\'s data, as {"tenant":"…","sku":"…"}')
    try:
        read_json(body)  # alone: what closes the object early would add members of its own
    except Refusal as refusal:
        fault = f"the body is not JSON ({refusal.reason}: {refusal.detail}): send the data as JSON"
        raise Unreadable(400, fault) from None
    return json.dumps(attributes, ensure_ascii=False)[:-1].encode() + b', "data": ' + body + b"}"


def _text(name: str, value: bytes) -> str:
    """A header's value: percent-encoded UTF-8, perhaps quoted (binding, 3.1.3.2)."""
    try:
        text = value.decode("ascii").strip(" \t")
        if quoted := _QUOTED.fullmatch(text):
            text = re.sub(r"\\(.)", r"\1", quoted[1])
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable(400, f"ce-{name} is not ASCII with percent-encoded UTF-8: encode it so") from None
