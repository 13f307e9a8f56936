"""Windows Security log: event 4624, an account was successfully logged on.

Logon types 2 (at the console), 10 (remote desktop) and 11 (with cached credentials) are people at a desktop; 3, 4, 5
and the like are services and shares. Windows also logs on machines (`NAME$`) and itself (SYSTEM, DWM-1, UMFD-0): only
accounts of a domain, a machine or Entra ID are people, which their SIDs tell (S-1-5-21-…, S-1-12-1-…).

A record is what `wevtutil … /f:xml` or the Event Viewer writes, flattened; or JSON or CSV of Winlogbeat, NXLog or the
Log Analytics table SecurityEvent, from a query or the Azure portal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.errors import ConfigurationError
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
    part,
)
from producers.adapters.portal import exported, generated

POLICIES: Policies = {
    "types": Policy("the logon types that are logins, as 2+10+11"),
    "user": Policy("who it is: DOMAIN\\user (or the UPN, where Windows has it), or the SID", ("name", "sid")),
}
_TYPES = "2+10+11"
_PEOPLE = ("S-1-5-21-", "S-1-12-1-")
_CURE = "export the whole event"
_NAMES = {
    "EventRecordID": ("EventRecordID", "EventRecordId", "RecordNumber"),
    "Computer": ("Computer", "Hostname"),
    "Time": ("TimeCreated", "TimeGenerated", "EventTime"),
}


class WindowsAdapter:
    def __init__(self, options: AdapterOptions) -> None:
        policy = decided(POLICIES, options.policy)
        self._zone, self._by_sid = options.zone, policy["user"] == "sid"
        self._types = frozenset((policy["types"] or _TYPES).split("+"))
        if not all(kind.isdecimal() for kind in self._types):
            raise ConfigurationError(f"--policy types={policy['types']}: write the types' numbers, as {_TYPES}")

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        event = _flat(record)
        if (number := needed(event, "EventID", _CURE)) != "4624":
            yield NotALogin(f"event {number}")
            return
        if (kind := needed(event, "LogonType", _CURE)) not in self._types:
            yield NotALogin(f"logon type {kind}")
            return
        user, sid = needed(event, "TargetUserName", _CURE), needed(event, "TargetUserSid", _CURE)
        if user.endswith("$"):
            yield NotALogin("a machine's account")
            return
        if not sid.upper().startswith(_PEOPLE):
            yield NotALogin("an account of Windows itself")
            return
        computer = needed(event, "Computer", _CURE).lower()
        upn = user if "@" in user else None
        sam = None if upn else f"{needed(event, 'TargetDomainName', _CURE)}\\{user}"
        yield Seen(
            id=f"{computer}/{needed(event, 'EventRecordID', _CURE)}", time=self._time(event),
            source="/windows", subject=sid if self._by_sid else upn or sam or "", product=computer,
            upn=upn, sid=sid, sam=sam,
        )  # fmt: skip

    def _time(self, event: Record) -> str:
        found = generated(event, self._zone) if exported(event) else None
        return found or moment(event, "Time", self._zone, _CURE)


def _flat(record: Record) -> dict[str, Any]:
    beat = part(record, "winlog")
    if beat:
        return {
            "EventID": beat.get("event_id"), "EventRecordID": beat.get("record_id"),
            "Computer": beat.get("computer_name"), "Time": record.get("@timestamp"), **part(beat, "event_data"),
        }  # fmt: skip
    found = dict(record)
    for name, others in _NAMES.items():
        found[name] = next((record[other] for other in others if record.get(other)), None)
    return found
