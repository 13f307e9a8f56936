"""Events, records and batches for the tests of the contracts and of the dedup job, made as a broker would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import settings

from schemas import event as contract
from schemas.control import CONTROL_TYPE, ControlRecord
from stream_jobs.dedup.batch import Batch, Headers, Partition

STRUCTURED: Headers = [("content-type", contract.STRUCTURED)]
PACKED: Headers = [("content-type", contract.BATCH)]
CONTROL: Headers = [("content-type", CONTROL_TYPE)]
TOPIC_ID = "the-topic"
NOW_MS = 1_793_500_000_000
"""2026-11-01T02:26:40Z: when the records of these tests were appended."""


def law(examples: int) -> settings:
    """How hard a law is tried; times on a shared machine say nothing."""
    return settings(max_examples=examples, deadline=None)


def login(data: Any = None, **attributes: Any) -> dict[str, Any]:
    """A valid event, with what the test is about put in its place; `None` leaves an attribute out."""
    event = {
        "specversion": "1.0", "id": "1", "source": "/citrix/tokyo-1", "type": "rollcall.login.v1",
        "time": "2026-10-31T23:59:59.123+09:00", "subject": "alice@customer-a.example",
        "data": {"tenant": "customer-a", "sku": "DAAS-PREM-T1"} if data is None else data,
    }  # fmt: skip
    return {name: value for name, value in (event | attributes).items() if value is not None}


def raw(event: Any) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")


class Kept(NamedTuple):
    """A Kafka record, as the job reads it."""

    offset: int
    value: bytes | None
    headers: Headers = ()
    timestamp: int = NOW_MS


def control(offset: int, kind: Any, number: int) -> Kept:
    return Kept(offset, ControlRecord(kind=kind, number=number).to_json(), CONTROL)


def batch(records: Sequence[Kept], partition: int = 0) -> Batch:
    return Batch(Partition("logins", partition), records)
