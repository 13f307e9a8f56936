"""CSV: columns, zones, quotes; one bad row costs no neighbour."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from infra.errors import ConfigurationError
from producers.sources.csv import CsvSource, parse_columns
from producers.sources.lines import Lines
from producers.sources.source import Login, Refused, Skipped, SourceOptions
from schemas.event import read_event

COLUMNS = "id=event,time=at,subject=user"


def read(text: str | bytes, columns: str = COLUMNS, limit: int = 10_000, **options: Any) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    chosen = SourceOptions("csv", parse_columns(columns), **({"sku": "S", "zone": "UTC"} | options))
    return list(CsvSource(chosen, "logins.csv", limit).read(Lines(io.BytesIO(data), "logins.csv", limit)))


def events(items: list[Any]) -> list[dict[str, Any]]:
    for item in items:
        if isinstance(item, Login):
            assert read_event(item.event).subject == item.subject
    return [json.loads(item.event) for item in items if isinstance(item, Login)]


def refusals(items: list[Any]) -> list[tuple[int, str, bytes]]:
    return [(i.number, i.refusal.reason, b"".join(i.raw)) for i in items if isinstance(i, Refused)]


def test_a_row_becomes_an_event() -> None:
    items = read("event,at,user\ne1,2026-10-31T23:59:59.5+09:00,alice@a.example\n", tenant="t", source="/broker/1")
    assert events(items) == [{
        "specversion": "1.0", "id": "e1", "source": "/broker/1", "type": "rollcall.login.v1",
        "time": "2026-10-31T23:59:59.5+09:00", "subject": "alice@a.example", "data": {"tenant": "t", "sku": "S"},
    }]


def test_what_the_columns_give_comes_before_the_options_and_an_empty_field_falls_back() -> None:
    items = read(
        "u,at,t,s,b\na,2026-01-01 00:00:00,t1,S1,/b\nb,2026-01-01 00:00:00,,,\n",
        columns="subject=u,time=at,tenant=t,sku=s,source=b", tenant="t0",
    )
    assert [(e["source"], e["data"]) for e in events(items)] == [
        ("/b", {"tenant": "t1", "sku": "S1"}), ("/csv/logins.csv", {"tenant": "t0", "sku": "S"}),
    ]


def test_a_product_stands_alone_and_identities_are_kept() -> None:
    items = read(
        "u,at,p,x\na,2026-01-01 00:00:00,Desktop,a@b.example\nb,2026-01-01 00:00:00,,\n",
        columns="subject=u,time=at,product=p,upn=x",
    )
    assert [e["data"] for e in events(items)] == [
        {"product": "Desktop", "identities": {"upn": "a@b.example"}}, {"sku": "S"},
    ]


def test_ids_come_from_the_place_and_repeat() -> None:
    text = 'at,note,user\n2026-01-01 00:00:00,"a\n b",x\n\n2026-01-01 00:00:00,,c\n'
    columns = "time=at,subject=user"
    assert [e["id"] for e in events(read(text, columns=columns))] == ["logins.csv:2", "logins.csv:5"]
    assert events(read(text, columns=columns)) == events(read(text, columns=columns))


def test_columns_by_number_mean_that_there_is_no_header() -> None:
    items = read("x,2026-01-01 00:00:00,alice\n", columns="time=2,subject=3")
    assert [(e["id"], e["subject"]) for e in events(items)] == [("logins.csv:1", "alice")]


def test_quotes_commas_line_ends_and_a_mark() -> None:
    text = b'\xef\xbb\xbfevent,note,user,at\r\n"e,1","said ""hi""\r\nand left",alice,2026-01-01T00:00:00Z\r\n'
    text += b"e2,,bob,2026-01-01T00:00:00Z"
    items = read(text)
    assert [(e["id"], e["subject"]) for e in events(items)] == [("e,1", "alice"), ("e2", "bob")]
    assert [item.number for item in items] == [2, 4]


def test_a_stray_quote_costs_no_neighbour() -> None:
    rows = [f"e{n},2026-01-01T00:00:00Z,user{n}" for n in range(2, 202)]
    rows[50] = 'e52,2026-01-01T00:00:00Z,"user52'
    rows[100] = '"e102,2026-01-01T00:00:00Z,user102'
    rows[120] = 'e122,2026-01-01T00:00:00Z,"user122" '
    items = read("\n".join(["event,at,user", *rows, ""]))
    assert [n for n, _, _ in refusals(items)] == [52, 102, 122]
    assert {reason for _, reason, _ in refusals(items)} == {"not_an_event"}
    assert [raw.decode() for _, _, raw in refusals(items)] == [rows[n] + "\n" for n in (50, 100, 120)]
    assert {e["id"] for e in events(items)} == {f"e{n}" for n in range(2, 202)} - {"e52", "e102", "e122"}


def test_two_stray_quotes_that_close_each_other_cost_no_neighbour() -> None:
    items = read('event,at,user\n"e2,x\ne3,2026-01-01T00:00:00Z,c\ne4,y"\n')
    assert [n for n, _, _ in refusals(items)] == [2, 4]
    assert [e["id"] for e in events(items)] == ["e3"]


def test_an_open_quote_before_a_line_that_is_too_long() -> None:
    items = read('event,at,user\ne2,2026-01-01T00:00:00Z,"b\n' + "x" * 300 + "\ne4,2026-01-01T00:00:00Z,d\n", limit=100)
    assert [(n, reason) for n, reason, _ in refusals(items)] == [(2, "not_an_event"), (3, "too_large")]
    assert [e["id"] for e in events(items)] == ["e4"]


@pytest.mark.parametrize(("row", "reason"), [
    ("e1,2026-01-01T00:00:00Z", "not_an_event"),
    ("e1,2026-01-01T00:00:00Z,a,b", "not_an_event"),
    ("e1,yesterday,a", "bad_time"),
    ("e1,,a", "bad_time"),
    ("e1,2026-02-30T00:00:00Z,a", "bad_time"),
    ("e1,2026-02-30 00:00:00,a", "bad_time"),
    ("e1,2026-01-01 25:00:00,a", "bad_time"),
    ("e1,2026-01-01,a", "bad_time"),
    ("e1,2026-01-01T00:00:00Z,", "invalid_value"),
    ("e1,2026-01-01T00:00:00Z,  ", "invalid_value"),
    ("e1,2026-01-01T00:00:00Z,a\0b", "invalid_value"),
    (f"e1,2026-01-01T00:00:00Z,{'a' * 513}", "invalid_value"),
])
def test_what_the_contract_refuses(row: str, reason: str) -> None:
    items = read(f"event,at,user\n{row}\nok,2026-01-01T00:00:00Z,b\n")
    assert refusals(items) == [(2, reason, row.encode() + b"\n")]
    assert [e["id"] for e in events(items)] == ["ok"]


def test_line_ends_of_old_macs_are_told_and_lose_nothing() -> None:
    """The whole file is one line then: a header that names every column, and no row."""
    text = b"event,at,user,sku\re1,2026-10-31T00:00:00Z,alice,S\r"
    [refused] = read(text)
    assert (refused.refusal.reason, b"".join(refused.raw)) == ("not_an_event", text)
    assert "carriage return" in refused.refusal.detail


def test_bytes_that_are_not_utf_8() -> None:
    at = b"2026-01-01T00:00:00Z"
    rows = [b"event,at,user", b"e1,%b,jos\xe9" % at, b'"e2",%b,jos\xe9' % at, b"e3,%b,jos\xc3\xa9" % at]
    items = read(b"\n".join(rows))
    assert [(n, reason) for n, reason, _ in refusals(items)] == [(2, "not_utf8"), (3, "not_utf8")]
    assert [e["subject"] for e in events(items)] == ["josé"]


@pytest.mark.parametrize(("zone", "local", "written"), [
    ("UTC", "2026-10-31 23:59:59", "2026-10-31T23:59:59+00:00"),
    ("Asia/Tokyo", "2026-10-31T23:59:59.999999", "2026-10-31T23:59:59.999999+09:00"),
    ("Asia/Tokyo", "2026-10-31 23:59:59,5", "2026-10-31T23:59:59.500000+09:00"),
    ("Europe/Berlin", "2024-02-29 12:00", "2024-02-29T12:00:00+01:00"),
    ("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25T02:30:00+02:00"),  # shown twice: the first
    ("Europe/Berlin", "2026-03-29 02:30:00", "2026-03-29T02:30:00+01:00"),  # never shown: 03:30 summer time
    ("Europe/Berlin", "2026-03-29 02:30:00Z", "2026-03-29T02:30:00Z"),
    ("Europe/Berlin", "2026-03-29 02:30:00 -0500", "2026-03-29T02:30:00-05:00"),
])
def test_times_without_an_offset_are_read_in_the_zone(zone: str, local: str, written: str) -> None:
    [event] = events(read(f'event,at,user\ne1,"{local}",a\n', zone=zone))
    assert event["time"] == written


def test_no_zone_is_guessed() -> None:
    with pytest.raises(ConfigurationError, match=r"line 2: the time '2026-01-01 00:00:00' has no offset.*--zone"):
        read("event,at,user\ne1,2026-01-01 00:00:00,a\n", zone=None)
    items = read("event,at,user\ne1,2026-01-01T00:00:00Z,a\ne2,2026-01-01 00:00:00,a\n", zone=None)
    assert [(n, reason) for n, reason, _ in refusals(items)] == [(3, "bad_time")]


@pytest.mark.parametrize(("columns", "options", "sentence"), [
    ("id=event,time=at", {}, "which column is the subject"),
    ("time=at,subject=user", {"sku": None}, "Give --sku"),
    ("time=at,subject=2", {}, "mixes names and numbers"),
    ("time=0,subject=2", {}, "numbered from 1"),
    ("time=at,subject=user", {"zone": "Tokyo"}, "--zone 'Tokyo' is not an IANA time zone"),
    ("time=at,subject=user", {"year": 2017}, "--year belongs to --format sshd"),
    ("time=at,subject=name", {}, r"column 'name' for subject is not in the header, which has 'event', 'at', 'user'"),
    ("time=at,user=user", {}, "MEMBER=COLUMN"),
    ("time=at,subject=", {}, "MEMBER=COLUMN"),
    ("time=at,subject=user,time=event", {}, "names time twice"),
])
def test_options_that_do_not_fit(columns: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        read("event,at,user\n", columns=columns, **options)


def test_empty_lines_are_skipped() -> None:
    assert [type(i) for i in read("\nevent,at,user\n\r\ne1,2026-01-01T00:00:00Z,a\n")] == [Skipped, Skipped, Login]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Amsterdam"])
def test_a_time_before_all_years_is_a_refused_line(zone: str) -> None:
    """.NET's empty date: in UTC it would lie in the year 0."""
    found = read("event,at,user\ne1,0001-01-01 00:00:00,alice\ne2,2026-10-31 00:00:00,bob\n", zone=zone)
    assert [event["subject"] for event in events(found)] == ["bob"]
    assert [(number, reason) for number, reason, _ in refusals(found)] == [(2, "bad_time")]
