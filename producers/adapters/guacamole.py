"""Apache Guacamole: rows of `guacamole_connection_history`, from its database or exported as CSV or JSON.

MySQL's start_date has no zone, PostgreSQL's has an offset. `username` outlives its user (user_id becomes null). A row
with a sharing profile is a guest in another's session; a guest who followed a link without an account has no name.
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

POLICIES: Policies = {
    "sharing": Policy("whether a guest in another's session is a login", ("ignore", "count")),
}
_CURE = "select it from guacamole_connection_history"


class GuacamoleAdapter:
    def __init__(self, options: AdapterOptions) -> None:
        self._zone = options.zone
        self._guests = decided(POLICIES, options.policy)["sharing"] == "count"

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        guest = any(optional(record, name) for name in ("sharing_profile_id", "sharing_profile_name"))
        user, connection = optional(record, "username"), optional(record, "connection_name")
        if guest and not self._guests:
            yield NotALogin("a guest in a shared session")
        elif guest and user is None:
            yield NotALogin("a guest without a name")
        elif connection is None and "connection_name" not in record and "history_id" in record:
            yield NotALogin("a row without a connection")
        else:
            yield Seen(
                id=needed(record, "history_id", _CURE), time=moment(record, "start_date", self._zone, _CURE),
                source="/guacamole", subject=needed(record, "username", _CURE),
                product=needed(record, "connection_name", _CURE), upn=user if user and "@" in user else None,
            )  # fmt: skip
