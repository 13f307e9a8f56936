"""Azure Virtual Desktop: rows of `WVDConnections` (Log Analytics).

A connection is several rows with one CorrelationId; only State `Connected` is a login. A row that continues an earlier
connection (PredecessorConnectionId) is a reconnect. The host pool comes from `_ResourceId`; Azure compares its parts
ignoring case, so they are lower case here.
"""

from __future__ import annotations

import re
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
)
from producers.adapters.portal import generated
from schemas.quarantine import Refusal

POLICIES: Policies = {
    "reconnects": Policy("whether a connection that continues an earlier one is a login", ("count", "ignore")),
}
_POOL = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/microsoft\.desktopvirtualization/hostpools/([^/]+)"
)
_QUERY = "let the query keep all columns of WVDConnections"


class AvdAdapter:
    def __init__(self, options: AdapterOptions) -> None:
        self._zone = options.zone
        self._reconnects = decided(POLICIES, options.policy)["reconnects"] == "count"

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        table = optional(record, "Type")
        if table not in (None, "WVDConnections"):
            yield NotALogin(f"a row of {table}")
            return
        state = needed(record, "State", _QUERY)
        if state != "Connected":
            yield NotALogin(f"State is {state}")
            return
        if not self._reconnects and optional(record, "PredecessorConnectionId"):
            yield NotALogin("a reconnect")
            return
        user = needed(record, "UserName", "a connection without a user cannot be counted; ask Azure for the row")
        subscription, product = _pool(needed(record, "_ResourceId", _QUERY))
        yield Seen(
            id=needed(record, "CorrelationId", _QUERY), time=self._time(record), source=f"/avd/{subscription}",
            subject=user, product=product, upn=user if "@" in user else None,
        )  # fmt: skip

    def _time(self, record: Record) -> str:
        if (time := generated(record, self._zone)) is None:
            raise Refusal("missing_member", f"TimeGenerated: is missing or empty; {_QUERY}")
        return time


def _pool(resource: str) -> tuple[str, str]:
    """The subscription, and `resource group/host pool`."""
    match = _POOL.fullmatch(resource.lower())
    if match is None:
        raise Refusal("invalid_value", f"_ResourceId: {resource[:200]!r} is not that of a host pool; {_QUERY}")
    return match[1], f"{match[2]}/{match[3]}"
