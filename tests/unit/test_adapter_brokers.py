"""Citrix, WorkSpaces, Secure Browser, Horizon, Guacamole, Windows: their published formats, and what counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.errors import ConfigurationError
from producers.adapters.adapter import AdapterOptions
from producers.adapters.inventory import parse_inventory
from producers.adapters.syslog import parse_syslog
from producers.sources.brokers import BROKERS
from tests.unit.adapted import Outcome, fixture, read

SID = "S-1-5-21-1004336348-1177238915-682003330-"


def told(found: Outcome) -> list[tuple[str, str, str | None]]:
    return [(event["time"], event["subject"], event["data"].get("product")) for event in found.events]


def reasons(found: Outcome) -> list[tuple[int, str]]:
    return [(number, reason) for number, reason, _ in found.refused]


# Citrix


def test_citrix_counts_sessions_that_began_and_reconnects_in_their_own_month() -> None:
    found = read(fixture("citrix-sessions.json"), "citrix", source="/citrix/eu-1")
    assert told(found) == [
        ("2024-07-31T11:22:37.473Z", "first.last@customer-a.example", "Finance Desktop"),
        ("2024-08-06T07:08:45.01Z", "first.last@customer-a.example", "Finance Desktop"),
        ("2024-08-31T23:59:59.999Z", "CORP\\bob", "Finance Desktop"),
    ]
    assert [event["id"] for event in found.events] == [
        "4569fdfd-0000-4000-8000-000000000001", "4569fdfd-0000-4000-8000-000000000001/887132",
        "4569fdfd-0000-4000-8000-000000000005",
    ]
    assert found.events[0]["data"]["identities"] == {
        "upn": "first.last@customer-a.example", "sid": SID + "83261", "sam": "CORP\\flast",
    }  # fmt: skip
    assert found.not_logins == {"a failed session": 1, "an anonymous session": 1, "a session that has not started": 1}


def test_citrix_policies() -> None:
    page = fixture("citrix-sessions.json")
    began = read(page, "citrix", policy={"reconnects": "ignore"})
    assert [event["time"][:7] for event in began.events] == ["2024-07", "2024-08"]
    kiosk = read(page, "citrix", policy={"anonymous": "session"})
    assert "anonymous:4569fdfd-0000-4000-8000-000000000003" in kiosk.users
    assert read(page, "citrix", policy={"user": "sid"}).users == [SID + "83261"] * 2 + ["S-1-5-21-1-2-3-7"]
    assert read(page, "citrix", policy={"user": "sam"}).users == ["CORP\\flast"] * 2 + ["CORP\\bob"]


def test_citrix_without_its_expansions_is_refused_with_the_query_to_make() -> None:
    found = read('{"SessionKey":"k","StartDate":"2024-08-01T08:00:00Z","UserId":7,"IsAnonymous":false}', "citrix")
    [(_, reason, detail)] = found.refused
    assert reason == "missing_member"
    assert "$expand=User,Machine($expand=DesktopGroup)" in detail


# Amazon


INVENTORY = parse_inventory(fixture("workspaces-inventory.json").decode(), "inventory.json")


def test_workspaces_takes_the_users_login_time_and_name() -> None:
    found = read(fixture("workspaces.json"), "workspaces", inventory=INVENTORY)
    assert told(found) == [
        ("2023-04-30T23:59:50.603Z", "d-123456789\\alice", "d-123456789"),
        ("2018-07-01T17:52:51.595Z", "d-123456789\\bob", "d-123456789"),
    ]
    assert {event["source"] for event in found.events} == {"/workspaces/123456789012/us-east-1"}
    assert found.events[0]["id"] == "64ca0eda-9751-dc55-c41a-1bd50b4fc9b7"
    assert found.not_logins == {"a AWS API Call via CloudTrail event": 1}
    chosen = read(fixture("workspaces.json"), "workspaces", inventory=INVENTORY,
                  policy={"domain": "CORP", "product": "bundle"})  # fmt: skip
    assert told(chosen)[0][1:] == ("CORP\\alice", "wsb-8vbljg4r6")


def test_firehose_writes_no_line_ends() -> None:
    lines = fixture("workspaces.json")
    joined = lines.replace(b"\n", b"")
    apart = read(lines, "workspaces", inventory=INVENTORY)
    assert read(joined, "workspaces", inventory=INVENTORY).events == apart.events
    assert reasons(read(joined[:-5], "workspaces", inventory=INVENTORY)) == [(1, "not_json")]


def test_a_workspace_that_the_inventory_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"--inventory workspaces\.json"):
        read("", "workspaces")
    inventory = parse_inventory("WorkspaceId,UserName,Upn\nws-abcdefg,bob,bob@b.example\n", "i.csv")
    found = read(fixture("workspaces.json"), "workspaces", inventory=inventory)
    assert found.users == ["bob@b.example"]
    assert "'ws-xyskdga' is not in the inventory" in found.refused[0][2]
    assert read(found.rejects, "workspaces", inventory=INVENTORY).users == ["d-123456789\\alice"]


@pytest.mark.parametrize(("text", "fault"), [
    ("WorkspaceId,User\nws-1,a\n", "entry 1: has no UserName"),
    ("WorkspaceId,UserName\nws-1,a\nws-1,b\n", "ws-1 belongs to 'a' and to 'b'"),
    ("{", "not JSON"), ('{"x": 1}', "expected a list under Workspaces"), ("WorkspaceId,UserName\n", "holds no machine"),
])  # fmt: skip
def test_an_inventory_that_cannot_be_used(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        parse_inventory(text, "i")


def test_pages_of_an_inventory_may_follow_each_other() -> None:
    page = fixture("workspaces-inventory.json").decode()
    both = parse_inventory(page + page.replace("ws-abcdefg", "ws-3"), "i")
    assert both.keys() == {"ws-xyskdga", "ws-abcdefg", "ws-3"}


def test_secure_browser_counts_the_start_of_a_session() -> None:
    found = read(fixture("secure-browser.json"), "secure-browser", name="log.json")
    portal = "arn:aws:workspaces-web:us-east-1:123456789012:portal/3f1d2c4b-0000-4000-8000-000000000001"
    assert told(found) == [("2022-10-07T21:44:31.723000Z", "alice@customer-a.example", portal)]
    assert found.events[0]["id"] == "log.json:1"
    assert found.not_logins == {"eventType is VisitPage": 1, "eventType is EndSession": 1, "eventType is Validation": 1}


# Horizon


def test_horizon_syslog() -> None:
    found = read(fixture("horizon-syslog.log"), "horizon-syslog")
    assert told(found) == [
        ("2020-06-18T08:44:31.512-05:00", SID + "1104", "finance-pool"),
        ("2020-06-30T23:59:59.999-05:00", SID + "1105", "finance-pool"),
    ]
    assert found.events[0]["data"]["identities"] == {"sid": SID + "1104", "sam": "CUSTOMER-A\\alice"}
    assert found.not_logins == {
        "EventType is BROKER_USERLOGGEDIN": 1, "EventType is AGENT_DISCONNECTED": 1, "another program's line": 1,
    }
    broker = read(fixture("horizon-syslog.log"), "horizon-syslog", policy={"logins": "broker"}, sku="VDI")
    assert (broker.users, broker.events[0]["data"]["sku"]) == ([SID + "1104"], "VDI")
    once = read(fixture("horizon-syslog.log"), "horizon-syslog", policy={"reconnects": "ignore", "user": "name"})
    assert once.users == ["CUSTOMER-A\\alice"]
    old = b'Jun 18 08:44:09 view-cs1 View 73 [View@6876 EventType="AGENT_CONNECTED"] x\n'
    assert "RSYSLOG_SyslogProtocol23Format" in read(old, "horizon-syslog").refused[0][2]


def test_syslog_lines() -> None:
    line = parse_syslog(r'<1>1 T h p - - [a@1 x="1 \"2\" \] \\"][b y=""] rest [c z="1"]')
    assert line is not None
    assert line.elements == {"a@1": {"x": '1 "2" ] \\'}, "b": {"y": ""}}
    assert (line.time, line.host, line.program, line.message) == ("T", "h", "p", 'rest [c z="1"]')
    assert parse_syslog("T h p - - -") is not None
    assert parse_syslog('T h p - - [a x="1]') is None
    assert parse_syslog("hello") is None


def test_horizon_event_rows() -> None:
    found = read(fixture("horizon-events.csv"), "horizon", zone="Asia/Tokyo")
    assert told(found) == [
        ("2026-10-31T23:59:41.903000+09:00", SID + "1104", "finance-pool"),
        ("2026-11-01T00:00:00+09:00", SID + "1105", "finance-pool"),
    ]
    assert [event["id"] for event in found.events] == ["12002", "12003"]
    head, rows = fixture("horizon-events.csv").split(b"\n", 1)
    lower = read(head.lower() + b"\n" + rows, "horizon", zone="Asia/Tokyo", policy={"user": "name"})
    assert lower.users == ["CUSTOMER-A\\alice", "CUSTOMER-A\\bob"], "PostgreSQL's columns"
    with pytest.raises(ConfigurationError, match="has no offset: give the zone"):
        read(fixture("horizon-events.csv"), "horizon")


# Guacamole


def test_guacamole_history() -> None:
    found = read(fixture("guacamole-mysql.csv"), "guacamole", zone="Europe/Amsterdam")
    assert told(found) == [
        ("2026-10-31T23:59:59+01:00", "alice", "Finance Desktop"),
        ("2026-11-01T00:00:00+01:00", "bob", "Finance Desktop"),
    ]
    assert found.not_logins == {"a guest in a shared session": 2}
    guests = read(fixture("guacamole-mysql.csv"), "guacamole", zone="Europe/Amsterdam", policy={"sharing": "count"})
    assert (guests.users, guests.not_logins) == (["alice", "bob", "carol"], {"a guest without a name": 1})
    pg = {"history_id": 1, "username": "a", "connection_name": "C", "start_date": "2026-10-31 23:59:59.12+09"}
    assert told(read(json.dumps(pg), "guacamole"))[0][0] == "2026-10-31T23:59:59.12+09:00"
    login = {"history_id": 1, "username": "a", "start_date": "2026-10-31 23:59:59+09"}
    assert read(json.dumps(login), "guacamole").not_logins == {"a row without a connection": 1}


# Windows


def test_windows_xml() -> None:
    found = read(fixture("windows-4624.xml"), "windows")
    computer = "rdsh-1.customer-a.example"
    assert told(found) == [
        ("2026-10-31T14:59:59.1234567Z", "CUSTOMER-A\\alice", computer),
        ("2026-10-31T15:00:00.0000000Z", "bob@customer-a.example", computer),
        ("2026-10-31T14:59:59.1234567Z", "CUSTOMER-A\\carol & co", computer),
    ]
    assert [event["id"] for event in found.events] == [f"{computer}/{number}" for number in (81, 87, 88)]
    assert found.not_logins == {
        "logon type 3": 1, "an account of Windows itself": 2, "logon type 5": 1, "a machine's account": 1,
        "event 4634": 1,
    }  # fmt: skip
    assert read(fixture("windows-4624.xml"), "windows", policy={"types": "3", "user": "sid"}).users == [SID + "1104"]
    with pytest.raises(ConfigurationError, match="write the types' numbers"):
        read("", "windows", policy={"types": "RDP"})


@pytest.mark.parametrize("limit", [100_000, 2_000])
def test_windows_xml_in_any_lines(limit: int) -> None:
    text = fixture("windows-4624.xml").decode()
    whole = read(text, "windows").events
    bare = text.replace("<Events>", "").replace("</Events>", "")
    for form in (text.replace("><", ">\r\n<"), text.replace("\n", ""), bare):
        assert read(form, "windows", limit=limit).events == whole


def test_a_damaged_windows_event_costs_no_neighbour() -> None:
    text = fixture("windows-4624.xml").decode()
    whole = read(text, "windows")
    for old, new in (("<EventID>4624", "<EventID>46&24"), ("<Execution", "<!DOCTYPE x><Execution")):
        damaged = text.replace(old, new, 1)
        found = read(damaged, "windows")
        assert (found.events, reasons(found)) == (whole.events[1:], [(1, "not_an_event")])
    mended = read(text.replace("<EventID>4624", "<EventID>46&24", 1), "windows").rejects.replace(b"46&24", b"4624")
    assert read(mended, "windows").events == whole.events[:1]
    cut = read(text[: text.index("DWM-2")], "windows")
    assert (len(cut.events), reasons(cut)) == (1, [(3, "not_an_event")])


def test_windows_as_the_azure_portal_exports_it() -> None:
    head = "TimeGenerated [{}],Computer,EventID,EventRecordId,LogonType,TargetUserName,TargetUserSid,TargetDomainName\n"
    row = '"10/31/2026, 11:59:59.123 PM",RDSH-1,4624,81,10,alice,S-1-5-21-1-2-3-4,CORP\n'
    [event] = read(head.format("UTC") + row, "windows").events
    assert (event["time"], event["subject"]) == ("2026-10-31T23:59:59.123000+00:00", "CORP\\alice")
    [event] = read(head.format("Local Time") + row, "windows", zone="Asia/Tokyo").events
    assert event["time"] == "2026-10-31T23:59:59.123000+09:00"


def test_windows_as_winlogbeat_and_log_analytics_give_it() -> None:
    data = {"TargetUserName": "alice", "TargetDomainName": "C", "TargetUserSid": SID + "1104", "LogonType": "10"}
    beat = {"@timestamp": "2026-10-31T14:59:59.123Z", "winlog": {
        "event_id": "4624", "record_id": 81, "computer_name": "RDSH-1", "event_data": data,
    }}  # fmt: skip
    flat = data | {
        "TimeGenerated": "2026-10-31T14:59:59.123Z", "EventID": 4624, "Computer": "RDSH-1", "EventRecordId": "81",
        "LogonType": 10,
    }  # fmt: skip
    one, other = read(json.dumps(beat), "windows").events, read(json.dumps([flat]), "windows").events
    assert one == other
    assert one[0]["id"] == "rdsh-1/81"


# All


@pytest.mark.parametrize("name", BROKERS)
def test_policies_default_to_their_first_value_and_others_are_refused(name: Any) -> None:
    broker = BROKERS[name]
    for policy, (what, values) in broker.policies.items():
        assert what
        if values:
            with pytest.raises(ConfigurationError, match=f"--policy {policy}=nonsense: write {values[0]} or"):
                broker.adapter(AdapterOptions(policy={policy: "nonsense"}, users={}))
    with pytest.raises(ConfigurationError, match="there is no such policy here"):
        broker.adapter(AdapterOptions(policy={"nonsense": "x"}, users={}))


@pytest.mark.parametrize("name", BROKERS)
@pytest.mark.parametrize(
    "line", [b"{}", b"[[1]]", b"5", b"\xff\xfe", b"<Event></Event>", b'{"a": NaN}', b"a,b\n1\n", b"\x00"]
)
def test_rubbish_is_refused_or_no_login_and_never_an_error(name: Any, line: bytes) -> None:
    options = {"inventory": {}} if name == "workspaces" else {}
    try:
        found = read(line + b"\n", name, **options)
    except ConfigurationError:
        return
    assert not found.events
    assert found.refused or found.not_logins or name == "windows" or b"," not in line
