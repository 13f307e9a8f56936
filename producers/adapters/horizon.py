"""Omnissa (VMware) Horizon: events from its database or its RFC 5424 syslog.

A login to the broker (BROKER_USERLOGGEDIN) starts no session; AGENT_CONNECTED is a new session on a machine,
AGENT_RECONNECTED an old one taken up again. The database's time has no zone; syslog's has an offset. Names are compared
ignoring case: PostgreSQL gives columns in lower case.
"""

from __future__ import annotations

from collections.abc import Iterator

from producers.adapters.adapter import (
    AdapterOptions,
    NotALogin,
    Policies,
    Policy,
    Record,
    Seen,
    decided,
    moment,
    needed,
    optional,
)
from producers.adapters.syslog import parse_syslog
from schemas.quarantine import Refusal

POLICIES: Policies = {
    "logins": Policy("what is a login: a session on a machine, or the broker's own login", ("session", "broker")),
    "reconnects": Policy("whether a session taken up again is a login", ("count", "ignore")),
    "user": Policy("who it is: the SID, or the display name (DOMAIN\\user)", ("sid", "name")),
}
_CURE = "let the query, or Horizon's event configuration, keep it"


class HorizonAdapter:
    """Of a row of the table `event`, with what its `event_data` says joined to it as columns."""

    def __init__(self, options: AdapterOptions) -> None:
        policy = decided(POLICIES, options.policy)
        self._zone, self._by_name = options.zone, policy["user"] == "name"
        self._logins = {"BROKER_USERLOGGEDIN"} if policy["logins"] == "broker" else {"AGENT_CONNECTED"}
        if policy["logins"] == "session" and policy["reconnects"] == "count":
            self._logins.add("AGENT_RECONNECTED")

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        row = {name.lower(): value for name, value in record.items()}
        kind = needed(row, "eventtype", _CURE)
        if kind not in self._logins:
            yield NotALogin(f"EventType is {kind}")
            return
        name = optional(row, "userdisplayname")
        sid = optional(row, "usersid") if self._by_name else needed(row, "usersid", _CURE)
        if self._by_name and name is None:
            raise Refusal("missing_member", "UserDisplayName: is missing; join it from event_data, or count by SID")
        yield Seen(
            id=optional(row, "eventid"), time=moment(row, "time", self._zone, _CURE), source="/horizon",
            subject=(name if self._by_name else sid) or "", product=optional(row, "desktopid"),
            sid=sid, sam=name if name and "\\" in name else None, upn=name if name and "@" in name else None,
        )  # fmt: skip


class HorizonSyslogAdapter:
    """Of a line, under `line`."""

    def __init__(self, options: AdapterOptions) -> None:
        self._events = HorizonAdapter(options)

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        line = needed(record, "line", "")
        if "[View@" not in line:
            yield NotALogin("another program's line")
            return
        parsed = parse_syslog(line)
        elements = parsed.elements if parsed else {}
        found = next((data for name, data in elements.items() if name.startswith("View@")), None)
        if parsed is None or found is None:
            raise Refusal(
                "not_an_event",
                "not a line of RFC 5424; let the receiver keep the form (rsyslog: RSYSLOG_SyslogProtocol23Format)",
            )
        yield from self._events.translate({**found, "Time": parsed.time})
