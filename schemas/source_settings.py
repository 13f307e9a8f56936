"""What a source that is read, or listened to, must be told, by its kind; by the catalogue or the command line.

A secret is never written in clear: `file:PATH` or `env:NAME` says where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from schemas.calendar import zone_named
from schemas.event import parse_time
from schemas.parts import Id, Part, Text

SHORTEST_OVERLAP = 70
"""Minutes, where times have no zone: a clock may be put back an hour."""


def _zone(value: str) -> str:
    zone_named(value)
    return value


def moment(value: Any) -> datetime:
    """A day, in UTC, or RFC 3339. Raises ValueError."""
    if isinstance(value, date):
        value = value.isoformat()
    try:
        return parse_time(value if "T" in value else f"{value}T00:00:00Z")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{value}: {error}; write a day (in UTC), as 2026-10-01, or RFC 3339") from None


Secret = Annotated[str, Field(pattern=r"^(file|env):.+$", description="file:PATH or env:NAME")]
Zone = Annotated[str, AfterValidator(_zone)]


class SourceSettings(Part):
    """What may be said to all of them."""

    tenant: Id | None = Field(None, description="of events whose record names none")
    sku: Id | None = Field(None, description="of all its events, whatever product they name")
    policy: dict[str, str] = Field({}, description="what counts; the names are on the kind's page")


class PolledSettings(SourceSettings):
    since: Annotated[datetime, BeforeValidator(moment)] | None = Field(
        None, description="from when on it is read at the first time: a day (in UTC) or RFC 3339"
    )
    overlap_minutes: float = Field(90, ge=0, le=10_080, description="before the watermark, read again at every poll")
    every_seconds: float = Field(300, ge=1, description="between two polls")


class CitrixSettings(PolledSettings):
    client: Text = Field(description="id of the API client; on premises the account")
    secret: Secret
    customer: Text | None = Field(None, description="Citrix Cloud customer id; left out: on premises")
    trust: Text = Field("https://api.cloud.com/cctrustoauth2", description="where Citrix Cloud gives out tokens")


class AvdSettings(PolledSettings):
    directory: Text = Field(description="id of the Microsoft Entra directory (tenant)")
    client: Text = Field(description="id of the application registered there")
    secret: Secret
    trust: Text = Field("https://login.microsoftonline.com", description="where Entra gives out tokens")


class DatabaseSettings(PolledSettings):
    zone: Zone = Field(description="in which the database's times are written, as Asia/Tokyo")
    secret: Secret | None = Field(None, description="the account's password")
    overlap_minutes: float = Field(
        90, ge=SHORTEST_OVERLAP, le=10_080, description="a database's clock may be put back an hour: 70 or more"
    )


class GuacamoleSettings(DatabaseSettings):
    longest_session_hours: float = Field(
        0, ge=0, le=744,
        description="before Guacamole 1.5, which writes a row when its session ends: how long one lasts at most",
    )


class HorizonSettings(DatabaseSettings):
    prefix: str = Field("", pattern=r"^[A-Za-z0-9_]*$", description="of Horizon's tables, as h_")


class SyslogSettings(SourceSettings):
    map: Text | None = Field(None, description="file of a declarative map; left out: Horizon's lines")
    zone: Zone | None = Field(None, description="for a map whose times have no zone")
    cert_file: Text | None = Field(None, description="PEM file of the listener's certificate (tls)")
    key_file: Text | None = Field(None, description="PEM file of its key")
    client_ca_file: Text | None = Field(None, description="PEM file of the authority of the senders' certificates")
    connections: int = Field(256, ge=1, description="at once; a further one is closed")
    message_bytes: int = Field(65_536, ge=2048, description="of one line at most")
    spool_bytes: int = Field(1 << 30, ge=1 << 20, description="what may wait for Kafka on disk")


SETTINGS: dict[str, type[SourceSettings]] = {
    "citrix": CitrixSettings, "avd": AvdSettings, "guacamole": GuacamoleSettings, "horizon": HorizonSettings,
    "syslog": SyslogSettings,
}  # fmt: skip
"""Kinds that Rollcall reads or listens to. The others push, and have nothing to be told."""


def source_settings(kind: str, given: Mapping[str, Any]) -> SourceSettings:
    """Raises ValidationError with every fault; KeyError for a kind that is not read."""
    return SETTINGS[kind].model_validate(given)


def told(error: ValidationError) -> str:
    """Its faults as sentences, joined."""
    found = []
    for e in error.errors(include_url=False):
        name = ".".join(str(step) for step in e["loc"])
        if e["type"] == "missing":
            found.append(f"{name} is missing")
        elif e["type"] == "extra_forbidden":
            found.append(f"{name} is no setting of this kind")
        else:
            found.append(f"{name}: {e['msg'].removeprefix('Value error, ')}")
    return "; ".join(found)
