"""The quarantine: why an event was set aside, where it came from, and what became of it."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Reason = Literal[
    # what no reader can decode
    "empty", "too_large", "not_utf8", "not_json", "nested_too_deep", "duplicate_member", "not_an_event",
    # what the contract refuses
    "missing_member", "wrong_type", "invalid_value", "wrong_specversion", "unknown_event_type", "bad_time",
    # what the catalogue cannot resolve
    "unknown_sku", "unknown_tenant", "unknown_product", "no_tenant", "sku_not_valid", "tenant_conflict",
    # what cannot be true in time
    "in_the_future", "before_floor",
    # a control record that names nothing stored, a source's report that says nothing
    "bad_control", "bad_report",
]

REASONS: dict[Reason, str] = {
    "empty": "the record has no value",
    "too_large": "larger than a record of `logins` may be",
    "not_utf8": "the bytes are not UTF-8",
    "not_json": "the text is not JSON, or was cut off",
    "nested_too_deep": "the JSON is nested too deeply",
    "duplicate_member": "a JSON object names a member twice",
    "not_an_event": "JSON, but no event object (or a content type that is not ours)",
    "missing_member": "a required member is missing",
    "wrong_type": "a member has the wrong JSON type",
    "invalid_value": "a member's value is empty, too long or holds characters that CloudEvents forbids",
    "wrong_specversion": "not CloudEvents 1.0",
    "unknown_event_type": "not a login event of a version that is known",
    "bad_time": "the time is not RFC 3339 with an offset",
    "unknown_sku": "the catalogue has no such SKU",
    "unknown_tenant": "the catalogue has no such tenant",
    "unknown_product": "the catalogue maps no such product of this source",
    "no_tenant": "neither the event, nor the product's mapping, nor the user's domain names a tenant",
    "sku_not_valid": "the SKU is not valid on the event's day",
    "tenant_conflict": "the product is mapped to another tenant than the event names",
    "in_the_future": "the time lies beyond the record's append time by more than the tolerance",
    "before_floor": "the time lies before the floor",
    "bad_control": "a control record that cannot be read or names nothing that is stored",
    "bad_report": "a source's report of itself that cannot be read, or is of the future",
}


class State(IntEnum):
    """What became of a quarantined event. A later state of the same replay number overrules an earlier one."""

    quarantined = 1
    waived = 2
    replayed = 3
    counted = 4


class Origin(NamedTuple):
    """Where an event stood when it was first set aside; its identity, kept through replays."""

    topic_id: str
    partition: int
    offset: int
    place: int
    """Index in the record's array, 0 for a record with one event; −1 for the record as a whole."""

    def __str__(self) -> str:
        return f"{self.topic_id}/{self.partition}/{self.offset}/{self.place}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        """The reverse of str(). ValueError if it is none."""
        topic_id, partition, offset, place = text.split("/")
        origin = cls(topic_id, int(partition), int(offset), int(place))
        held = 0 <= origin.partition < 1 << 31 and 0 <= origin.offset < 1 << 63 and -1 <= origin.place < 1 << 31
        if not held or str(origin) != text:
            raise ValueError(f"{text!r} is no place in a log")
        return origin


class Refusal(Exception):
    """An event that cannot be counted: the reason code, a detail without names of people, and where in the event."""

    def __init__(self, reason: Reason, detail: str, pointer: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail
        self.pointer = pointer
        """JSON pointer (RFC 6901) to the member at fault; empty: the event as a whole."""


class QuarantineRecord(BaseModel):
    """What dashboards may know of a quarantined event: neither its bytes nor names of people."""

    model_config = ConfigDict(frozen=True)

    topic_id: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    place: int = Field(ge=-1, description="index in the record's array; -1: the record as a whole")
    replay: int = Field(0, ge=0, description="how often it was sent round again")
    state: Literal["quarantined", "waived", "replayed", "counted"]
    reason: Reason
    detail: str
    source: str = Field("unknown", description="the broker that sent it, where it can be read")
    event_time_us: int | None = Field(None, description="epoch microseconds, where it can be read")
    append_time_ms: int = Field(description="epoch milliseconds at which Kafka appended the record")
