"""Any CSV or JSON, by a declarative map."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from infra.errors import ConfigurationError
from producers.adapters.adapter import NotALogin, Record, Seen
from producers.adapters.login_map import Condition, LoginMap, Take
from producers.adapters.selector import parse_selector, select
from producers.times import read_epoch, read_form, read_time
from schemas.calendar import zone_named
from schemas.quarantine import Refusal

Get = Callable[[Record], str]


class MappedAdapter:
    """`file` stands in the source where nothing else names one; `zone` holds where the map has none."""

    def __init__(self, found: LoginMap, file: str, *, zone: str | None = None, has_sku: bool = False) -> None:
        login = found.login
        if not (has_sku or login.sku or login.product):
            raise ConfigurationError("what was logged in to? Give --sku, or name product or sku in the map's login")
        self._source = found.source or f"/map/{quote(file, safe='')}"
        self._json = found.records == "json"
        self._only = [(self._test(condition), condition.from_) for condition in found.only]
        self._except = [(self._test(condition), condition.from_) for condition in found.except_]
        name = login.time.zone or zone
        self._zone = zone_named(name) if name else None
        self._when, self._form = self._get(login.time.from_), login.time.format
        self._take = {
            name: self._taken(name, take)
            for name in ("subject", "id", "product", "sku", "tenant", "upn", "sid", "sam")
            if (take := getattr(login, name)) is not None
        }

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        for test, name in self._only:
            if not test(record):
                yield NotALogin(f"{name} is not what the map's `only` asks")
                return
        for test, name in self._except:
            if test(record):
                yield NotALogin(f"{name} is what the map's `except` names")
                return
        found = {name: value for name, take in self._take.items() if (value := take(record))}
        yield Seen(
            source=self._source, time=self._time(self._when(record)), subject=found.pop("subject", ""), **found
        )

    def _time(self, text: str) -> str:
        if not text:
            raise Refusal("bad_time", "time: is missing or empty; mend the record, or the map's login.time")
        if self._form == "iso":
            return read_time(text, self._zone)
        if self._form in ("unix", "unix_ms"):
            return read_epoch(text, 1 if self._form == "unix" else 1000)
        return read_form(text, self._form, self._zone)

    def _get(self, selector: str) -> Get:
        if not self._json:
            return lambda record: str(record.get(selector) or "")
        steps = parse_selector(selector)

        def get(record: Record) -> str:
            value = select(steps, record)
            if isinstance(value, dict | list):
                raise Refusal("wrong_type", f"{selector}: is not a text or a number; mend the map's selector")
            return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

        return get

    def _taken(self, name: str, take: Take) -> Get:
        raw = self._text(take)
        if take.lower:
            plain = raw
            raw = lambda record: plain(record).lower()  # noqa: E731
        if not take.values:
            return raw

        def mapped(record: Record) -> str:
            found = raw(record)
            if found in take.values or not found or take.otherwise == "keep":
                return take.values.get(found, found)
            if take.otherwise == "empty":
                return ""
            raise Refusal("invalid_value", f"{name}: {found[:100]!r} is not among the map's values; add it there")

        return mapped

    def _text(self, take: Take) -> Get:
        if take.from_ is not None:
            return self._get(take.from_)
        pieces = re.split(r"\{([^{}]*)\}", take.text or "")
        fixed, gets = pieces[::2], [self._get(selector) for selector in pieces[1::2]]

        def filled(record: Record) -> str:
            """Empty where any of its parts is: half a name is nobody's."""
            found = [get(record) for get in gets]
            if not all(found):
                return ""
            return fixed[0] + "".join(value + text for value, text in zip(found, fixed[1:], strict=True))

        return filled

    def _test(self, condition: Condition) -> Callable[[Record], bool]:
        get = self._get(condition.from_)
        if condition.in_ is not None:
            allowed = frozenset(condition.in_)
            return lambda record: get(record) in allowed
        pattern = re.compile(condition.matches or "")
        return lambda record: pattern.fullmatch(get(record)) is not None


def columns_of(found: LoginMap) -> list[str]:
    """The columns that a CSV's header must have, each once."""
    return list(dict.fromkeys(selector for _, selector in found.selectors())) if found.header else []


def unwrap(found: LoginMap) -> Callable[[Any], list[Any] | None]:
    """The records in a JSON value, by the map's `each`; without it, a list's elements."""
    if found.each is None:
        return lambda value: value if isinstance(value, list) else None
    steps = parse_selector(found.each)

    def inner(value: Any) -> list[Any] | None:
        records = select(steps, value)
        return records if isinstance(records, list) else None

    return inner
