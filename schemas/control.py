"""Control records: what changes the reading of the log stands in the log.

One is written into every partition of `logins`. "Catalogue 2" means: from here on version 2 holds. "Close 5"
means: close 5 is here; what follows was not yet there when it began.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.quarantine import Refusal

CONTROL_TYPE = b"application/vnd.rollcall.control+json"
Kind = Literal["catalogue", "close"]


class ControlRecord(BaseModel):
    """`number` is the catalogue's version or the close's number; the greatest before a place holds there."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    kind: Kind
    number: int = Field(ge=1, lt=1 << 32)

    def to_json(self) -> bytes:
        return json.dumps(self.model_dump(), separators=(",", ":")).encode()


def read_control(raw: bytes | None) -> ControlRecord:
    """The control record of a Kafka record's value. Raises Refusal("bad_control")."""
    try:
        return ControlRecord.model_validate_json(raw or b"")
    except ValidationError as error:
        raise Refusal("bad_control", error.errors()[0]["msg"]) from None
