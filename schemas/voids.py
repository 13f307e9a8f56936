"""Void rules: what a source sent within a time is not counted, in one month, once a rebuild with them is accepted.

The file that a person writes is a list in YAML (or JSON):

    - source: /citrix/tokyo-1
      from: 2026-10-05T10:00:00+09:00
      to: 2026-10-05T11:00:00+09:00
      reason: a load test ran against the live broker
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from schemas.calendar import epoch_us
from schemas.catalogue_text import dotted, line_of
from schemas.parts import Text


class VoidsError(Exception):
    """The void rules cannot be used; the message names every fault with file, line and cure."""


class Void(BaseModel):
    """Leaves out the events of a source that Kafka appended in [from, to); their own times do not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: Text
    begin: AwareDatetime = Field(alias="from")
    end: AwareDatetime = Field(alias="to", description="the first moment that is counted again")
    reason: Text

    @field_validator("begin", "end", mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        if not isinstance(value, str | datetime):
            raise ValueError("is no time; write it with its offset, as 2026-10-05T10:00:00+09:00")
        return value

    @field_validator("begin", "end")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return value.astimezone(UTC)

    @field_validator("end")
    @classmethod
    def _after(cls, value: datetime, info: Any) -> datetime:
        if (begin := info.data.get("begin")) is not None and value <= begin:
            raise ValueError("is not after from; swap them, or mend one")
        return value

    def covers(self, append_ms: int) -> bool:
        return self.begin_ms <= append_ms < self.end_ms

    @property
    def begin_ms(self) -> int:
        """Epoch milliseconds, as Kafka tells append times."""
        return -(-epoch_us(self.begin) // 1000)

    @property
    def end_ms(self) -> int:
        return -(-epoch_us(self.end) // 1000)


_VOIDS = TypeAdapter(list[Void])


def parse_voids(text: str, name: str) -> list[Void]:
    """The rules of a file. Raises VoidsError with every fault."""
    try:
        root, value = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise VoidsError(f"{name}: not YAML: {' '.join(str(error).split())}; mend it") from None
    try:
        found = _VOIDS.validate_python(value)
    except ValidationError as error:
        faults = [
            f"{name}:{line_of(root, e['loc'])}: {dotted(e['loc'])}: {_sentence(e)}"
            for e in error.errors(include_url=False)
        ]
        raise VoidsError("\n".join(faults)) from None
    if not found:
        raise VoidsError(f"{name}: has no rule; write a list of source, from, to and reason")
    return found


def stored_voids(text: str) -> list[Void]:
    """The rules of a generation's row. Raises ValidationError for what `joined` did not write."""
    return _VOIDS.validate_json(text)


def joined(*rules: Iterable[Void]) -> str:
    """As a generation's row keeps them: JSON, each once, in order of their beginnings."""
    different = {void: None for some in rules for void in some}
    ordered = sorted(different, key=lambda void: (void.begin, void.end, void.source, void.reason))
    return _VOIDS.dump_json(ordered, by_alias=True).decode()


def _sentence(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "is missing; add it"
        case "extra_forbidden":
            return "there is no such part; mend the spelling or remove it"
        case "list_type":
            return "expected a list of rules; begin each with `- source: …`"
        case "timezone_aware":
            return f"{error['input']!s} has no offset; write it as 2026-10-05T10:00:00+09:00"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")
