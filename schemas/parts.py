"""What the parts of a catalogue are made of: ids, days, texts."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from schemas.event import Text

__all__ = [
    "ADDRESS", "ID", "Address", "Channel", "Day", "Deployment", "FirstOfMonth", "Id", "Part", "Severity", "Text",
    "Unit", "Validity", "covers", "overlap",
]  # fmt: skip


def _first_day(value: Any) -> date:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?", value):
        return date.fromisoformat(value if len(value) == 10 else f"{value}-01")
    raise ValueError("is not a month (YYYY-MM) or a day (YYYY-MM-DD)")


def _whole_months(day: date) -> date:
    if day.day != 1:
        raise ValueError(f"is within a month, and this holds for whole months; write {day:%Y-%m}, or the next month")
    return day


Day = Annotated[
    date, BeforeValidator(_first_day), PlainSerializer(lambda day: day.isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$", "description": "a month or a day"}),
]  # fmt: skip
FirstOfMonth = Annotated[Day, AfterValidator(_whole_months)]
"""For what is in force for whole months."""
# Ids stand in digests and CSV lines, so they hold no comma, quote or white space.
ID = r"^[A-Za-z0-9][A-Za-z0-9._:+/-]{0,127}$"
ADDRESS = r"^[^@\s<>,;]+@[^@\s<>,;]+$"
Id = Annotated[str, Field(pattern=ID)]
Address = Annotated[str, Field(pattern=ADDRESS, max_length=254)]
"""An e-mail address, without a display name."""

Deployment = Literal["cloud", "on-prem"]
Unit = Literal["user", "instance"]
Channel = Literal["CSP", "CSA"]
"""Who holds the right to use: the partner (CSP) or the customer (CSA) (CSP-2)."""
Severity = Literal["info", "warning", "blocking"]
"""A blocking finding must be cured, or waived with a reason, before a report can be approved."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def covers(valid_from: date | None, valid_to: date | None, day: date) -> bool:
    """Whether a day is in a validity; `valid_to` is the first day that is out."""
    return (valid_from is None or valid_from <= day) and (valid_to is None or day < valid_to)


Validity = tuple[date | None, date | None]
"""The first day, and the first that is out; None for no end on that side."""


def overlap(one: Validity, other: Validity) -> bool:
    """Whether some day is in both. A validity that ends before it begins is in none."""
    start, end = max(one[0] or date.min, other[0] or date.min), min(one[1] or date.max, other[1] or date.max)
    return start < end
