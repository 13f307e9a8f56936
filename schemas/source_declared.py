"""Sources as the catalogue declares them: what each is, where it is read, and when it is expected to speak."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, WithJsonSchema, model_validator

from schemas.event import LongText
from schemas.parts import Day, Part, Text, Validity
from schemas.source_settings import SETTINGS, PolledSettings, Zone, source_settings, told

Kind = Literal[
    "citrix", "avd", "workspaces", "secure-browser", "horizon", "guacamole", "windows", "sshd", "syslog", "gateway",
    "push", "map",
]  # fmt: skip
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FINEST = timedelta(hours=1)
"""Who was heard of is known by the hour."""

_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,3})d)?(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?")
_CLOCK = re.compile(r"([0-9]{2}):([0-5][0-9])")


def duration(value: Any) -> timedelta:
    """`6h`, `90m`, `1d12h`: days, hours, minutes. Raises ValueError."""
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        days, hours, minutes = (int(part or 0) for part in match.groups())
        found = timedelta(days=days, hours=hours, minutes=minutes)
    else:
        raise ValueError("is not a length of time; write it as 6h, 90m or 1d12h")
    if found < FINEST:
        raise ValueError("is too short; write 1h or more, since who was heard of is known by the hour")
    return found


def length(time: timedelta) -> str:
    """As `duration` reads it, in hours and minutes; seconds are left out."""
    hours, minutes = divmod(time // timedelta(minutes=1), 60)
    return f"{hours}h{minutes}m" if hours and minutes else f"{minutes}m" if minutes else f"{hours}h"


def clock(value: Any) -> int:
    """`HH:MM`, 00:00 to 24:00, as minutes of the day. Raises ValueError."""
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('is not a time of day; write it in quotes, as "08:00"')
    minutes = int(match[1]) * 60 + int(match[2])
    if minutes > 24 * 60:
        raise ValueError('is no time of day; the last is "24:00"')
    return minutes


Duration = Annotated[
    timedelta, BeforeValidator(duration), PlainSerializer(length, return_type=str),
    WithJsonSchema({"type": "string", "description": "as 6h, 90m or 1d12h; 1h or more"}),
]  # fmt: skip
ClockTime = Annotated[
    int, BeforeValidator(clock),
    PlainSerializer(lambda m: f"{m // 60:02}:{m % 60:02}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{2}:[0-5][0-9]$", "description": "00:00 to 24:00"}),
]  # fmt: skip


class Rhythm(Part):
    """When a source is expected to speak: an instant at which its zone's clock shows such a time of such a day."""

    silent_after: Duration = Field(description="longest silence within the expected hours")
    days: list[Weekday] = Field(list(WEEKDAYS), min_length=1)
    start: ClockTime = Field("00:00", alias="from", validate_default=True)
    to: ClockTime = Field(
        "24:00", validate_default=True, description="not after `from`: of the day that follows, whatever day that is"
    )
    zone: Zone = "UTC"


class DeclaredSource(Part):
    """A source that is expected to send, by the CloudEvents `source` of its events."""

    source: LongText
    kind: Kind
    reads: Text | None = Field(None, description="where it is read, or listened to; left out: it pushes")
    settings: dict[str, Any] = Field({}, description="by kind; secrets only as file:PATH or env:NAME")
    valid_from: Day | None = None
    valid_to: Day | None = Field(None, description="the first day that is out")
    rhythm: Rhythm | None = Field(None, description="left out: its silence is shown, and no finding")
    watermark: bool | None = Field(
        None, description="whether a close asks it if it has sent all of the month; left out: if polled, or a gateway"
    )

    @property
    def validity(self) -> Validity:
        return self.valid_from, self.valid_to

    @property
    def polled(self) -> bool:
        return self.reads is not None and issubclass(SETTINGS.get(self.kind, object), PolledSettings)

    @property
    def answers(self) -> bool:
        """Whether a close asks it for a watermark."""
        return self.watermark if self.watermark is not None else self.polled or self.kind == "gateway"

    @model_validator(mode="after")
    def _fits(self) -> DeclaredSource:
        """Settings are those of its kind, where it is read."""
        if self.reads is None:
            if self.settings and self.kind not in SETTINGS:
                raise ValueError(f"has settings, and {self.kind} has none: it pushes; remove them")
            if self.settings:
                raise ValueError("has settings but no `reads`; add where it is read, or remove them: it pushes")
            return self
        if self.kind not in SETTINGS:
            raise ValueError(f"has `reads`, and {self.kind} is not read; choose one of {', '.join(SETTINGS)}")
        try:
            source_settings(self.kind, self.settings)
        except ValidationError as error:
            raise ValueError(f"settings of {self.kind}: {told(error)}; see docs/sources") from None
        return self
