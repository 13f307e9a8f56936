"""The login event: CloudEvents 1.0 in JSON. This model is the contract; a faster reader may only agree.

`read_event` is the contract's own reader. It takes the bytes of one JSON object and returns a LoginEvent or
raises Refusal with the reason code under which the quarantine keeps the event.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from schemas.quarantine import Reason, Refusal

EVENT_TYPE = "rollcall.login.v1"
# Content types of a Kafka record: one event, an array of events (our extension), or the data of binary mode.
STRUCTURED = b"application/cloudevents+json"
BATCH = b"application/cloudevents-batch+json"
DATA = b"application/json"
MAX_ID, MAX_NAME, MAX_SUBJECT = 512, 256, 512
MAX_DEPTH = 64

# CloudEvents 1.0, type system, String: control characters, surrogates and noncharacters are disallowed.
_DISALLOWED = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)


def _clean(text: str) -> str:
    if found := _DISALLOWED.search(text):
        raise ValueError(f"holds U+{ord(found.group()):04X}, which CloudEvents does not allow")
    return text


def _not_blank(text: str) -> str:
    if text.isspace():
        raise ValueError("is only white space")
    return text


def parse_time(text: Any) -> datetime:
    """RFC 3339 with an offset, as an aware datetime in that offset, to the microsecond.

    Finer digits are rounded to the nearest microsecond, but never up into the next second: the last
    instant of a month stays in it. ValueError for anything else.
    """
    if isinstance(text, datetime) and text.tzinfo is not None:
        return text
    if not isinstance(text, str):
        raise ValueError("is not text; write RFC 3339, as 2026-10-31T23:59:59+09:00")
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise ValueError("is not a time; write RFC 3339, as 2026-10-31T23:59:59+09:00") from error
    if moment.tzinfo is None:
        raise ValueError("has no offset; write RFC 3339, as 2026-10-31T23:59:59+09:00")
    if moment.microsecond == 0 and ".999999" in text:
        moment -= timedelta(microseconds=1)
    return moment


# What of it JSON Schema's regular expressions can say in every language.
_PATTERN: dict[str, JsonValue] = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
Text = Annotated[str, Field(min_length=1, max_length=MAX_NAME, json_schema_extra=_PATTERN), AfterValidator(_clean)]
LongText = Annotated[str, Field(min_length=1, max_length=MAX_ID, json_schema_extra=_PATTERN), AfterValidator(_clean)]
Subject = Annotated[
    str, Field(min_length=1, max_length=MAX_SUBJECT, json_schema_extra=_PATTERN), AfterValidator(_clean),
    AfterValidator(_not_blank),
]  # fmt: skip
Time = Annotated[
    datetime, BeforeValidator(parse_time), PlainSerializer(lambda moment: moment.isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339 with an offset"}),
]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Identities(_Part):
    """More names of the same person, as the broker knows them."""

    upn: Text | None = None
    sid: Text | None = None
    sam: Text | None = None


class LoginData(_Part):
    """What was logged in to: a SKU of a tenant, or the broker's own name for it (`product`)."""

    model_config = ConfigDict(json_schema_extra={
        "anyOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("sku", "product")]
    })  # fmt: skip

    tenant: Text | None = Field(None, description="the catalogue's tenant; left out: by product or domain")
    sku: Text | None = Field(None, description="the catalogue's SKU; left out: by `product`")
    product: Text | None = Field(None, description="delivery group, host pool, connection… of this source")
    identities: Identities | None = None

    @model_validator(mode="after")
    def _names_a_product(self) -> LoginData:
        if self.sku is None and self.product is None:
            raise ValueError("names neither sku nor product")
        return self


class LoginEvent(_Part):
    """One login. Unknown members are ignored; an `id` may repeat (counting is idempotent)."""

    specversion: Literal["1.0"]
    id: LongText
    source: LongText = Field(description="the broker that saw the login (URI reference)")
    type: Literal["rollcall.login.v1"]
    time: Time
    subject: Subject = Field(description="the user, or the instance, as the broker spells it")
    datacontenttype: Text | None = None
    dataschema: LongText | None = None
    data: LoginData

    def to_json(self) -> bytes:
        """The event as compact structured-mode JSON; read_event gives the same event back."""
        return json.dumps(
            self.model_dump(mode="json", exclude_none=True), ensure_ascii=False, separators=(",", ":")
        ).encode()


def read_event(raw: bytes) -> LoginEvent:
    """One event from the bytes of one JSON object. Raises Refusal, never anything else."""
    return event_from(read_json(raw))


def read_json(raw: bytes) -> Any:
    """Strict JSON (RFC 8259, UTF-8, unique member names, no NaN, bounded depth). Raises Refusal."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("not_utf8", f"byte {error.start} of {len(raw)} is not UTF-8") from None
    try:
        value = _decode(text)
        if text.count("{") + text.count("[") > MAX_DEPTH:
            _bounded(value)
        return value
    except RecursionError:
        raise Refusal("nested_too_deep", f"more than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise Refusal("not_json", f"{error.msg.removesuffix(' at')} at character {error.pos}") from None
    except ValueError as error:  # a number of thousands of digits, NaN
        raise Refusal("not_json", str(error)[:200]) from None


def event_from(value: Any) -> LoginEvent:
    """The event of a decoded JSON value. Raises Refusal."""
    if not isinstance(value, dict):
        raise Refusal("not_an_event", f"a JSON {_json_type(value)}, not an object")
    try:
        return LoginEvent.model_validate(value)
    except ValidationError as error:
        raise _refusal(error) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal("duplicate_member", f"{ascii(twice)[:100]} stands twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def _bounded(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return
    for inner in value:
        _bounded(inner, depth + 1)


def _json_type(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", type(None): "null"}
    return names[type(value)]


def _refusal(error: ValidationError) -> Refusal:
    """The fault that matters most: first whether it is our event at all, then in the contract's order."""
    faults = error.errors(include_url=False, include_input=False)
    fault = min(faults, key=lambda f: f["loc"] not in (("specversion",), ("type",)))
    where = ".".join(str(part) for part in fault["loc"]) or "event"
    message = fault["msg"].removeprefix("Value error, ")
    pointer = "".join(f"/{part}" for part in fault["loc"])  # the contract's names need no escape
    return Refusal(_reason(fault["type"], fault["loc"]), f"{where}: {message}"[:300], pointer)


_REASON_OF: dict[tuple[int | str, ...], Reason] = {
    ("specversion",): "wrong_specversion",
    ("type",): "unknown_event_type",
    ("time",): "bad_time",
}


def _reason(kind: str, loc: tuple[int | str, ...]) -> Reason:
    if kind == "missing":
        return "missing_member"
    if kind.endswith("_type"):
        return "wrong_type"
    if loc == ("data",) and kind == "value_error":
        return "missing_member"
    return _REASON_OF.get(loc, "invalid_value")
