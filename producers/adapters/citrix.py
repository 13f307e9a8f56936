"""Citrix Monitor (OData v4, cloud and on premises): sessions with user, delivery group and connections expanded.

A session that began is a login at its StartDate. A connection that took it up again (IsReconnect) is another, at its
own time, perhaps in a later month: by policy. All dates are UTC. A session fails when it has a FailureId; an anonymous
one has nobody to count.
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
    needed,
    optional,
    part,
)
from producers.times import read_time
from schemas.calendar import zone_named
from schemas.quarantine import Refusal

EXPAND = "User,Machine($expand=DesktopGroup),Connections($expand=ConnectionFailureLog)"
POLICIES: Policies = {
    "reconnects": Policy("whether a session taken up again is a login in that month", ("count", "ignore")),
    "anonymous": Policy("what an anonymous session is: nothing, or a user of its own", ("ignore", "session")),
    "user": Policy("who it is: the UPN (else DOMAIN\\user, else SID), DOMAIN\\user, or SID", ("upn", "sam", "sid")),
}
_CURE = f"query Sessions with $expand={EXPAND}"
_UTC = zone_named("UTC")


class CitrixAdapter:
    def __init__(self, options: AdapterOptions) -> None:
        policy = decided(POLICIES, options.policy)
        self._reconnects, self._user = policy["reconnects"] == "count", policy["user"]
        self._anonymous = policy["anonymous"] == "session"

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        key = needed(record, "SessionKey", _CURE)
        anonymous = record.get("IsAnonymous") is True
        if optional(record, "FailureId") or optional(record, "FailureDate"):
            yield NotALogin("a failed session")
        elif anonymous and not self._anonymous:
            yield NotALogin("an anonymous session")
        elif (started := optional(record, "StartDate")) is None:
            yield NotALogin("a session that has not started")
        else:
            names = {"subject": f"anonymous:{key}"} if anonymous else self._names(part(record, "User"))
            group = optional(part(part(record, "Machine"), "DesktopGroup"), "Name")
            yield Seen(id=key, time=read_time(started, _UTC), source="/citrix", product=group, **names)
            for connection, time in self._reconnected(record):
                yield Seen(id=f"{key}/{connection}", time=time, source="/citrix", product=group, **names)

    def _names(self, user: Record) -> dict[str, str]:
        name, domain = optional(user, "UserName"), optional(user, "Domain")
        found = {
            "upn": optional(user, "Upn"), "sid": optional(user, "Sid"),
            "sam": f"{domain}\\{name}" if name and domain else None,
        }  # fmt: skip
        best = ("upn", "sam", "sid") if self._user == "upn" else (self._user,)
        subject = next((value for kind in best if (value := found[kind])), None)
        if subject is None:
            raise Refusal("missing_member", f"User: has no {' and no '.join(best)}; {_CURE}")
        return {"subject": subject} | {kind: value for kind, value in found.items() if value}

    def _reconnected(self, session: Record) -> Iterator[tuple[str, str]]:
        """Id and time of every connection that took the session up again."""
        current = session.get("CurrentConnection")
        connections = session.get("Connections") or ([current] if current else [])
        if not isinstance(connections, list) or not all(isinstance(one, dict) for one in connections):
            raise Refusal("wrong_type", f"Connections: is not a list of objects; {_CURE}")
        for one in connections if self._reconnects else ():
            if one.get("IsReconnect") is True and not one.get("ConnectionFailureLog"):
                logged_on = optional(one, "LogOnEndDate") or optional(one, "HdxEndDate")
                time = logged_on or needed(one, "BrokeringDate", _CURE)
                yield needed(one, "Id", _CURE), read_time(time, _UTC)
