"""The gateway's contracts: what it answers, and the file of its keys."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.quarantine import Reason

RefusalReason = Reason | Literal["forbidden"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RefusedEvent(_Part):
    """One event that was not taken, and why. Sent again unchanged, it is refused again."""

    index: int = Field(ge=0, description="its place in the batch, from 0; 0 for a single event")
    id: str | None = Field(description="its `id`, where it can be read")
    reason: RefusalReason = Field(description="a code; `forbidden`: the key may not speak for this source or tenant")
    pointer: str = Field(description="JSON pointer into the request's document: what is wrong; empty: the whole")
    detail: str = Field(description="what is wrong there, and the cure")


class Answer(_Part):
    """What became of a request's events: every event that `refusals` does not name was accepted."""

    accepted: int = Field(ge=0)
    refused: int = Field(ge=0)
    stored: Literal["kafka", "spool"] | None = Field(
        description="where the accepted events are: acknowledged by Kafka, or on the gateway's disk until it does; "
        "null: none was accepted"
    )
    refusals: list[RefusedEvent]


class Problem(_Part):
    """RFC 9457: why a request as a whole was not taken."""

    title: str
    status: int
    detail: str = Field(description="what happened, and what to do")


class GatewayKey(_Part):
    """One key: whom it speaks for, and the hash of its secret. The secret itself is nowhere."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=100, description="whose it is; a rotated key keeps it")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the secret, which is 256 random bits")
    sources: tuple[str, ...] = Field(min_length=1, description="sources; `*` at the end stands for any rest")
    tenants: tuple[str, ...] = Field(min_length=1, description="tenants; `*`: any, and events that name none")
    rate: float | None = Field(None, gt=0, description="events a second; left out: the setting gateway.rate")
    certificate: str | None = Field(None, description="name that the client's certificate must carry (mutual TLS)")
    line: str | None = Field(None, description="id of the first key that it goes back to by rotation; one rate for all")
    created: datetime
    valid_until: datetime | None = Field(None, description="from then on refused: rotated out")
    revoked: datetime | None = None


class GatewayKeys(_Part):
    version: Literal[1] = 1
    keys: tuple[GatewayKey, ...] = ()
