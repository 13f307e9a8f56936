"""Azure Virtual Desktop: what Log Analytics answers, and what its portal exports."""

from __future__ import annotations

import json

import pytest

from infra.errors import ConfigurationError
from tests.unit.adapted import fixture, read

SOURCE = "/avd/9a8b7c6d-0000-4000-8000-0000000000aa"
ROW = {
    "TimeGenerated": "2026-10-31T14:59:59Z", "State": "Connected", "UserName": "a@b.example", "CorrelationId": "c",
    "_ResourceId": "/subscriptions/s/resourcegroups/r/providers/microsoft.desktopvirtualization/hostpools/h",
}  # fmt: skip


def test_only_connected_rows_of_a_query_count() -> None:
    found = read(fixture("avd-query.json"), "avd")
    assert [(e["time"], e["subject"], e["source"], e["data"]["product"]) for e in found.events] == [
        ("2026-10-31T14:59:59.9999999Z", "alice@customer-a.example", SOURCE, "rg-avd-jp/hp-finance"),
        ("2026-11-01T00:03:07.25Z", "bob@customer-a.example", SOURCE, "rg-avd-jp/hp-finance"),
    ]
    assert found.events[0]["id"] == "7f3b0c52-1111-4a52-9a55-3b0f6f7b0001"
    assert found.events[0]["data"]["identities"] == {"upn": "alice@customer-a.example"}
    assert (found.not_logins, found.refused) == ({"State is Started": 1, "State is Completed": 1}, [])


def test_one_line_a_page_and_one_object_a_line_say_the_same() -> None:
    document = json.loads(fixture("avd-query.json"))
    names = [column["name"] for column in document["tables"][0]["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in document["tables"][0]["rows"]]
    whole = read(fixture("avd-query.json"), "avd").events
    for text in (
        json.dumps(document), json.dumps(rows), json.dumps(rows, indent=2), "\n".join(json.dumps(row) for row in rows),
        json.dumps(rows[:1]) + "\n" + json.dumps(rows[1:]),
    ):
        assert read(text, "avd").events == whole
    assert read(json.dumps(rows), "avd", limit=900).events == whole, "a document on one long line is still one"


def test_reconnects_by_policy() -> None:
    found = read(fixture("avd-query.json"), "avd", policy={"reconnects": "ignore"})
    assert (found.users, found.not_logins["a reconnect"]) == (["alice@customer-a.example"], 1)
    with pytest.raises(ConfigurationError, match="write count or ignore"):
        read("", "avd", policy={"reconnects": "perhaps"})
    with pytest.raises(ConfigurationError, match="no such policy here; there are: reconnects"):
        read("", "avd", policy={"anonymous": "count"})


def test_the_portals_csv() -> None:
    found = read(fixture("avd-portal.csv"), "avd")
    assert [(e["time"], e["subject"]) for e in found.events] == [
        ("2026-10-31T23:59:59.123000+00:00", "alice@customer-a.example"),
        ("2026-11-01T00:00:07.500000+00:00", "bob@customer-a.example"),
    ]
    local = fixture("avd-portal.csv").replace(b"[UTC]", b"[Local Time]")
    assert read(local, "avd", zone="Asia/Tokyo").events[0]["time"] == "2026-10-31T23:59:59.123000+09:00"
    with pytest.raises(ConfigurationError, match=r"record 2: the time .* has no offset: give its zone"):
        read(local, "avd")


@pytest.mark.parametrize(("change", "reason", "detail"), [
    ({"UserName": ""}, "missing_member", "UserName: is missing or empty"),
    ({"State": None}, "missing_member", "State: is missing or empty"),
    ({"_ResourceId": "/subscriptions/s"}, "invalid_value", "is not that of a host pool"),
    ({"TimeGenerated": "yesterday"}, "bad_time", "write it as"),
    ({"TimeGenerated": "2026-02-30T00:00:00Z"}, "bad_time", "time"),
    ({"UserName": ["a"]}, "wrong_type", "UserName: is not text"),
])  # fmt: skip
def test_a_bad_row_is_refused_alone_and_can_be_mended(change: dict[str, object], reason: str, detail: str) -> None:
    bad = json.dumps([ROW, ROW | change, ROW], indent=1)
    found = read(bad, "avd")
    assert len(found.events) == 2
    [(number, code, told)] = found.refused
    assert (number, code) == (2, reason)
    assert detail in told
    assert [json.loads(line) for line in found.rejects.splitlines()] == [ROW | change]


def test_a_file_that_is_cut_off_is_refused_and_a_bad_line_costs_no_neighbour() -> None:
    cut = fixture("avd-query.json")[:-20].rstrip() + b"\n"
    assert [reason for _, reason, _ in read(cut, "avd").refused] == ["not_json"]
    assert read(cut, "avd").rejects == cut
    lines = "\n".join([json.dumps(ROW)[:-3], json.dumps(ROW), "", json.dumps(ROW)])
    assert [(n, r) for n, r, _ in read(lines, "avd").refused] == [(1, "not_json")]
    assert len(read(lines, "avd").events) == 2
