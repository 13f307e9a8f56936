"""The declarative map: how records of any CSV or JSON are read as logins. Checked whole before it is used.

    records: csv
    delimiter: ";"
    source: /vpn/amsterdam
    login:
      time: {from: Aanmelding, format: "%d-%m-%Y %H:%M:%S", zone: Europe/Amsterdam}
      subject: {text: "{Domein}\\{Gebruiker}"}
      product: {from: Pool, values: {"7": Kantoor}}
    only: [{from: Resultaat, in: [OK]}]
    except: [{from: Gebruiker, matches: "svc_.*"}]
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from infra.errors import ConfigurationError
from producers.adapters.selector import parse_selector
from schemas.calendar import zone_named
from schemas.catalogue_text import CatalogueError, Fault, read_document
from schemas.event import LongText
from schemas.parts import Part, Text

CLOCKS = {"iso": "2026-10-31T23:59:59+09:00", "unix": "seconds since 1970", "unix_ms": "milliseconds since 1970"}
_BRACES = re.compile(r"\{([^{}]*)\}")


def _known_zone(value: str) -> str:
    zone_named(value)
    return value


def _known_format(value: str) -> str:
    if value in CLOCKS:
        return value
    if "%Z" in value.replace("%%", ""):
        raise ValueError(f"{value!r}: a zone's name says too little (CST is three); write %z for an offset, or zone")
    day = datetime(2026, 10, 31, 23, 58, 57, tzinfo=UTC)
    try:
        again = datetime.strptime(day.strftime(value), value)
    except ValueError as error:
        raise ValueError(f"{value!r} is neither {', '.join(CLOCKS)} nor a form of strptime ({error})") from None
    if again.replace(second=57, tzinfo=UTC, microsecond=0) != day:
        raise ValueError(f"{value!r} loses the year, month, day, hour (with %p if it is %I) or minute; name them all")
    return value


def _known_delimiter(value: str) -> str:
    if value in '"\r\n\0':
        raise ValueError(f"{value!r} cannot part columns: quotes and line ends have their own meaning in CSV")
    return value


def _known_encoding(value: str) -> str:
    try:
        plain = 'a\n,;\t"'.encode(value) == b'a\n,;\t"'
        return codecs.lookup(value).name if plain else _fail(value)
    except LookupError:
        return _fail(value)


def _fail(encoding: str) -> str:
    raise ValueError(f"{encoding!r} is not an encoding that can be read line by line; name utf-8, cp1252, cp932, …")


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


def _short(value: Any) -> Any:
    """`subject: User` is `subject: {from: User}`."""
    return {"from": value} if isinstance(value, str) else value


Selected = Annotated[str, Field(min_length=1, max_length=512)]


class Take(Part):
    """A value: from a member or column, or a text with such in braces (or none: the same for every record)."""

    from_: Selected | None = Field(None, alias="from", description="column, or path into a JSON record")
    text: str | None = Field(None, min_length=1, description="a text; `{name}` in it is what stands there")
    values: dict[str, str] = Field({}, description="what is found, to what it means here")
    otherwise: Literal["keep", "empty", "refuse"] = Field(
        "refuse", description="what is found and not among `values`: kept, as if it were empty, or refused"
    )
    lower: bool = Field(False, description="in lower case, before `values` are looked up")

    @model_validator(mode="after")
    def _one(self) -> Take:
        if (self.from_ is None) == (self.text is None):
            raise ValueError("name either from or text")
        if "otherwise" in self.model_fields_set and not self.values:
            raise ValueError("otherwise goes with values; add them, or leave it out")
        return self

    def selectors(self) -> list[str]:
        return [self.from_] if self.from_ is not None else _BRACES.findall(self.text or "")


class TakeTime(Part):
    """The login's time."""

    from_: Selected = Field(alias="from")
    format: Annotated[str, AfterValidator(_known_format)] = Field("iso", description=f"{', '.join(CLOCKS)} or strptime")
    zone: Annotated[str, AfterValidator(_known_zone)] | None = Field(None, description="of times without an offset")

    def selectors(self) -> list[str]:
        return [self.from_]


Taken = Annotated[Take, BeforeValidator(_short)]


class LoginFields(Part):
    """The event's members. A product or a SKU must come from somewhere: here, or from --sku."""

    time: Annotated[TakeTime, BeforeValidator(_short)]
    subject: Taken
    id: Taken | None = None
    product: Taken | None = None
    sku: Taken | None = None
    tenant: Taken | None = None
    upn: Taken | None = None
    sid: Taken | None = None
    sam: Taken | None = None


class Condition(Part):
    """A test of one value; one that is not there is as if it were empty."""

    from_: Selected = Field(alias="from")
    in_: list[str] | None = Field(None, alias="in", min_length=1, description="is one of these")
    matches: Annotated[str, AfterValidator(_pattern)] | None = Field(None, description="the whole of it matches")

    @model_validator(mode="after")
    def _one(self) -> Condition:
        if (self.in_ is None) == (self.matches is None):
            raise ValueError("name either in or matches")
        return self

    def selectors(self) -> list[str]:
        return [self.from_]


class LoginMap(Part):
    records: Literal["csv", "json"]
    source: LongText | None = Field(None, description="the events' source; left out: --source, or /map/FILE")
    delimiter: Annotated[str, AfterValidator(_known_delimiter)] = Field(
        ",", min_length=1, max_length=1, description="of CSV"
    )
    encoding: Annotated[str, AfterValidator(_known_encoding)] = Field("utf-8", description="of CSV")
    skip_lines: int = Field(0, ge=0, description="lines above the header of CSV")
    header: bool = Field(True, description="CSV without one: its columns are called 1, 2, 3, …")
    each: Text | None = Field(None, description="where a JSON document has its list of records")
    login: LoginFields
    only: list[Condition] = Field([], description="a record is a login if it meets all of these")
    except_: list[Condition] = Field([], alias="except", description="and none of these")

    def selectors(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Every selector, with its place in the map."""
        for name in LoginFields.model_fields:
            take: Take | TakeTime | None = getattr(self.login, name)
            for selector in take.selectors() if take else ():
                yield ("login", name), selector
        for part, conditions in (("only", self.only), ("except", self.except_)):
            for index, condition in enumerate(conditions):
                yield (part, index), condition.from_


def parse_login_map(text: str, name: str = "map.yaml") -> LoginMap:
    """The map of a YAML text; `name` is the file's. Raises ConfigurationError with every fault and its line."""
    try:
        document = read_document(text, name)
    except CatalogueError as error:
        raise ConfigurationError(str(error).replace(
            "not a catalogue: expected programmes, tenants, skus and products at the top",
            "not a map: expected records and login at the top",
        )) from None  # fmt: skip
    try:
        found = LoginMap.model_validate(document.value)
        faults = list(_misplaced(found))
    except ValidationError as error:
        faults = [(_place(e["loc"]), _sentence(e)) for e in error.errors(include_url=False, include_input=False)]
    if faults:
        told = "\n".join(fault.replace(": catalogue:", ":") for fault in document.error(faults).faults)
        raise ConfigurationError(f"{told}\ndocs/sources/map.md has every part of a map")
    return found


def _misplaced(found: LoginMap) -> Iterator[Fault]:
    if found.records == "csv":
        if found.each is not None:
            yield ("each",), "belongs to records: json; leave it out"
        if not found.header:
            for place, selector in found.selectors():
                if not re.fullmatch("[1-9][0-9]{0,3}", selector):
                    yield place, f"{selector!r} is not a number; without a header columns are called 1, 2, 3, …"
        return
    for name in ("delimiter", "encoding", "skip_lines", "header"):
        if name in found.model_fields_set:
            yield (name,), "belongs to records: csv; leave it out"
    for place, selector in [*found.selectors(), *([(("each",), found.each)] if found.each else [])]:
        try:
            parse_selector(selector)
        except ValueError as error:
            yield place, str(error)


def _place(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return tuple(step for step in loc if step not in ("function-before[_short(), Take]",))


def _sentence(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such part; leave it out, or mend its name"
    if error["type"] == "missing":
        return "is missing; add it"
    return str(error["msg"]).removeprefix("Value error, ")
