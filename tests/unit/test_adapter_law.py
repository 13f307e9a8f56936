"""Laws of every adapter: whatever the record, it tells or refuses and never fails, and always the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from producers.adapters.adapter import AdapterOptions, NotALogin, Seen, login_event
from producers.sources.brokers import BROKERS
from producers.sources.lines import Broken
from schemas.calendar import zone_named
from schemas.event import read_event
from schemas.quarantine import Refusal
from tests.unit.adapted import read

NAMES = [
    "State", "UserName", "_ResourceId", "CorrelationId", "TimeGenerated", "SessionKey", "StartDate",
    "IsAnonymous", "User", "Machine", "Connections", "CurrentConnection", "DesktopGroup", "Name", "IsReconnect",
    "BrokeringDate", "Id", "Upn", "detail-type", "detail", "source", "workspaceId", "directoryId", "loginTime",
    "account", "region", "id", "timestamp", "eventType", "userName", "portalArn", "EventType", "UserSID", "Time",
    "line", "history_id", "username", "start_date", "connection_name", "EventID", "LogonType", "TargetUserName",
    "TargetUserSid", "TargetDomainName", "Computer", "EventRecordID", "TimeCreated", "winlog", "event_data",
    "@timestamp",
]  # fmt: skip
TEXTS = st.sampled_from([
    "Connected", "WorkSpaces Access", "aws.workspaces", "ws-1", "StartSession", "1665179071723", "AGENT_CONNECTED",
    "2026-10-31T23:59:59Z", "2026-10-31 23:59:59", "4624", "10", "S-1-5-21-1", "alice", "a@b.example", "",
    "\x00", "\ud800",
    "/subscriptions/s/resourcegroups/r/providers/microsoft.desktopvirtualization/hostpools/h",
    '<1>1 2026-10-31T23:59:59Z h View - 1 [View@1 EventType="AGENT_CONNECTED" UserSID="S-1" DesktopId="p"]',
    '<1>1 T h View - 1 [View@1 EventType="AGENT',
])  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=6,
)
RECORDS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=14)


@pytest.mark.parametrize("name", BROKERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(record=RECORDS)
def test_any_record_is_told_or_refused(name: Any, record: dict[str, Any]) -> None:
    users = {"ws-1": {"UserName": "alice"}}
    adapter = BROKERS[name].adapter(AdapterOptions(zone_named("Asia/Tokyo"), {}, users))
    outcomes = []
    for _ in range(2):
        try:
            found = list(adapter.translate(record))
            assert found
            assert all(isinstance(one, Seen | NotALogin) for one in found)
            outcomes.append([login_event(one, "place", sku="S") for one in found if isinstance(one, Seen)])
        except Refusal as refusal:
            outcomes.append([refusal.reason.encode(), refusal.detail.encode(errors="replace")])
    assert outcomes[0] == outcomes[1]
    for event in outcomes[0]:
        if event.startswith(b"{"):
            read_event(event)


@pytest.mark.parametrize("name", BROKERS)
@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=200) | st.text("{}[]<>Event/\"',:\n a1", max_size=80).map(str.encode))
def test_any_file_is_read_to_its_end(name: Any, data: bytes) -> None:
    options = {"inventory": {"ws-1": {"UserName": "a"}}} if name == "workspaces" else {}
    try:
        found = read(data, name, limit=60, **options)
    except (ConfigurationError, Broken):  # UTF-16, or the first bytes of gzip and no more
        return
    assert not found.events
