"""The event's contract, case by case: what is refused and why, and that nothing is lost on the way to JSON and back."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from schemas.event import MAX_DEPTH, MAX_ID, MAX_NAME, MAX_SUBJECT, read_event
from schemas.quarantine import REASONS, Refusal
from tests.unit.logins import login, raw

GOOD = raw(login())


def nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


BAD_BYTES = [
    (b"", "not_json"),
    (b" ", "not_json"),
    (b"not json", "not_json"),
    (GOOD[:-1], "not_json"),
    (GOOD + b"x", "not_json"),
    (GOOD + GOOD, "not_json"),
    (b"\xef\xbb\xbf" + GOOD, "not_json"),
    (GOOD.replace(b"alice", b"al\x00ice"), "not_json"),
    (GOOD.replace(b"alice", b"al\nice"), "not_json"),
    (GOOD.replace(b'"1"', b"NaN"), "not_json"),
    (GOOD.replace(b'"1"', b"-Infinity"), "not_json"),
    (GOOD.replace(b'"1"', b"1" * 5000), "not_json"),
    (GOOD.replace(b"alice", b"al\xffice"), "not_utf8"),
    (GOOD.replace(b"alice", b"al\xed\xa0\x80ice"), "not_utf8"),
    (GOOD.decode().encode("utf-16"), "not_utf8"),
    (GOOD.replace(b'"1"', b"[" * 100_000 + b"]" * 100_000), "nested_too_deep"),
    (raw(login(note=nested(MAX_DEPTH + 1))), "nested_too_deep"),
    (GOOD.replace(b'"id"', b'"id": "0", "id"'), "duplicate_member"),
    (GOOD.replace(b'"sku"', b'"sku": "0", "\\u0073ku"'), "duplicate_member"),
    (raw(login())[:-1] + b', "note": {"a": 1, "a": 1}}', "duplicate_member"),
    *((value, "not_an_event") for value in (b"[]", b'"text"', b"5", b"null", b"true", b"[" + GOOD + b"]")),
]

BAD_EVENTS: list[tuple[dict[str, Any], str]] = [
    *((login(**{name: None}), "missing_member") for name in login() if name != "data"),
    ({name: value for name, value in login().items() if name != "data"}, "missing_member"),
    (login({}), "missing_member"),
    (login({"tenant": "customer-a"}), "missing_member"),
    (login({"sku": None, "product": None}), "missing_member"),
    ({}, "missing_member"),
    *((login(**{name: 5}), "wrong_type") for name in ("id", "source", "subject", "data")),
    (login(data=[]) | {"data": "text"}, "wrong_type"),
    (login({"sku": 5}), "wrong_type"),
    (login({"sku": "s", "tenant": ["t"]}), "wrong_type"),
    (login({"sku": "s", "identities": "upn"}), "wrong_type"),
    (login({"sku": "s", "identities": {"upn": 5}}), "wrong_type"),
    (login(datacontenttype=5), "wrong_type"),
    *((login(specversion=version), "wrong_specversion") for version in ("0.3", "1", "1.0 ", "", 1.0)),
    *((login(type=kind), "unknown_event_type") for kind in ("rollcall.login.v2", "login", "", 5)),
    *((login(id=text), "invalid_value") for text in ("", "x" * (MAX_ID + 1), "a\nb", "a\x7f", "\ud800", "\ufffe")),
    *((login(source=text), "invalid_value") for text in ("", "x" * (MAX_ID + 1), "\U0010ffff")),
    *((login(subject=bad), "invalid_value") for bad in ("", " ", "\u3000", "a\x85", "\ufdd0", "x" * (MAX_SUBJECT + 1))),
    (login({"sku": ""}), "invalid_value"),
    (login({"sku": "x" * (MAX_NAME + 1)}), "invalid_value"),
    (login({"sku": "s", "identities": {"sid": "\x01"}}), "invalid_value"),
    (login(dataschema=""), "invalid_value"),
    (login(specversion="0.3", id=5, time="never"), "wrong_specversion"),
    (login(type="other", subject=""), "unknown_event_type"),
]

BAD_TIMES = [
    "", "now", "2026-10-31", "2026-10-31T23:59:59", "2026-10-31T23:59:59.5", "2026-10-31T23:59Z",
    "2026-10-31T24:00:00Z", "2026-10-31T23:59:60Z", "2026-11-31T00:00:00Z", "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z", "2026-10-31T23:59:59+24:00", "2026-10-31T23:59:59 JST", "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z", "2026-10-31T23:59:59Z\n",
    " 2026-10-31T23:59:59Z", "２０26-10-31T23:59:59Z", "\ud800", "Sat, 31 Oct 2026 23:59:59 GMT", "1793491199",
    1793491199, True,
]  # fmt: skip

TIMES = [
    ("2026-10-31T23:59:59+09:00", "2026-10-31T23:59:59+09:00"),
    ("2026-10-31t23:59:59z", "2026-10-31T23:59:59+00:00"),
    ("2026-10-31 23:59:59-00:00", "2026-10-31T23:59:59+00:00"),
    ("2024-02-29T23:59:59.1+05:45", "2024-02-29T23:59:59.100000+05:45"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
    ("2026-10-31T23:59:59.9999994999Z", "2026-10-31T23:59:59.999999+00:00"),
    ("2026-10-31T23:59:59.9999995Z", "2026-10-31T23:59:59.999999+00:00"),
    ("2026-10-31T23:59:59.999999999999Z", "2026-10-31T23:59:59.999999+00:00"),
    ("2026-10-31T23:59:58.1234567Z", "2026-10-31T23:59:58.123457+00:00"),
]


def reason(value: bytes) -> str:
    with pytest.raises(Refusal) as refused:
        read_event(value)
    assert refused.value.reason in REASONS
    assert "alice" not in refused.value.detail, "details name no people"
    return refused.value.reason


@pytest.mark.parametrize(("value", "expected"), BAD_BYTES, ids=lambda value: repr(value[:30]))
def test_bytes_that_are_no_event(value: bytes, expected: str) -> None:
    assert reason(value) == expected


@pytest.mark.parametrize(("event", "expected"), BAD_EVENTS, ids=lambda value: repr(value)[:60])
def test_events_that_break_the_contract(event: dict[str, Any], expected: str) -> None:
    assert reason(json.dumps(event).encode()) == expected


@pytest.mark.parametrize("time", BAD_TIMES)
def test_times_that_are_not_rfc_3339_with_an_offset(time: Any) -> None:
    assert reason(json.dumps(login(time=time)).encode()) == "bad_time"


@pytest.mark.parametrize(("time", "instant"), TIMES)
def test_times_are_exact_to_the_microsecond_and_never_rounded_into_the_next_second(time: str, instant: str) -> None:
    read = read_event(raw(login(time=time))).time
    assert read == datetime.fromisoformat(instant)
    assert read.tzinfo is not None


@pytest.mark.parametrize(
    "event",
    [
        login(),
        login({"product": "Finance Desktop"}),
        login({"sku": "s", "tenant": None, "identities": {"upn": "a@b", "sid": None, "later": 1}, "later": [1]}),
        login(id="x" * MAX_ID, source="🐙" * MAX_ID, subject="é" * MAX_SUBJECT, note=nested(MAX_DEPTH - 1)),
        login({"sku": "x" * MAX_NAME, "tenant": "🐙" * MAX_NAME}),
        login(subject=" alice "), login(subject='a"\\/b'), login(subject="e\u0301\u200b🐙"),
        login(datacontenttype="application/json", dataschema="urn:x", traceparent="00-1"),
        login(time="2026-10-31T23:59:59.9999999Z"),
    ],
    ids=lambda event: repr(event)[-60:],
)  # fmt: skip
def test_a_valid_event_survives_the_way_to_json_and_back(event: dict[str, Any]) -> None:
    read = read_event(raw(event))
    assert read_event(read.to_json()) == read
    assert (read.id, read.source, read.subject) == (event["id"], event["source"], event["subject"])
