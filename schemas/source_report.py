"""What a source's reader, or a gateway, says of itself: a record of its own content type in `logins`. Without names.

It stands in partition 0. A close's control record is written there first of all, so a watermark before it speaks of
logins that are before the close in every partition.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.event import LongText, parse_time, read_json
from schemas.quarantine import Refusal

REPORT_TYPE = b"application/vnd.rollcall.source-report+json"
REPORT_PARTITION = 0
MAX_ERROR = 500
Kind = Literal["heartbeat", "watermark"]


def _storable(time: datetime) -> datetime:
    if not 1970 <= time.year < 2262:
        raise ValueError("is outside of the years 1970 to 2261")
    return time


Time = Annotated[datetime, BeforeValidator(parse_time), AfterValidator(_storable)]


class SourceReport(BaseModel):
    """A heartbeat says that the sender lives; a watermark, besides, how far all is in Kafka."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    source: LongText = Field(description="whom it speaks for: the `source` of the events, or a gateway's name")
    kind: Kind
    at: Time = Field(description="by the sender's clock, RFC 3339")
    complete_to: Time | None = Field(
        None, description="a watermark's: every login before it that the sender was given, Kafka has acknowledged"
    )
    spool_bytes: int | None = Field(None, ge=0, lt=1 << 62, description="what waits at the sender for Kafka")
    refused: int | None = Field(
        None, ge=0, lt=1 << 62,
        description="records that could not be read as logins and wait at the sender to be mended, or were lost by it",
    )
    polled: Time | None = Field(None, description="begin of the reader's last successful poll")
    error: str = Field("", max_length=MAX_ERROR, description="why the last try failed, a sentence without names")

    @model_validator(mode="after")
    def _says_how_far(self) -> SourceReport:
        if (self.kind == "watermark") != (self.complete_to is not None):
            raise ValueError("complete_to is what a watermark says, and no heartbeat")
        return self

    def to_json(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


def read_report(raw: bytes | None) -> SourceReport:
    """The report of a Kafka record's value. Raises Refusal("bad_report")."""
    try:
        return SourceReport.model_validate(read_json(raw or b""))
    except Refusal as refusal:
        raise Refusal("bad_report", refusal.detail) from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "report"
        raise Refusal("bad_report", f"{where}: {fault['msg'].removeprefix('Value error, ')}"[:300]) from None
