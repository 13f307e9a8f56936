"""What every adapter is: one record of a broker in, its logins out. Pure; one broker a file beside this one.

A record is a mapping, as JSON, CSV or a database row gives it. Of each an adapter says one of three things: these
logins (`Seen`); no login, because … (`NotALogin`); or, as a Refusal, what is wrong with it and what mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from infra.errors import ConfigurationError
from producers.times import read_time, to_utc
from schemas.event import EVENT_TYPE, event_from
from schemas.quarantine import Refusal

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One login as a broker tells of it. `time` is RFC 3339 with an offset."""

    time: str
    subject: str
    id: str | None = None
    """The broker's own; None where it has none, and the record's place stands for it."""
    source: str
    """The event's source where the operator names none."""
    product: str | None = None
    sku: str | None = None
    tenant: str | None = None
    upn: str | None = None
    sid: str | None = None
    sam: str | None = None


class NotALogin(NamedTuple):
    """`why` is a few words, the same for all records of a kind: they are counted by it."""

    why: str


class Adapter(Protocol):
    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        """At least one item. Raises Refusal when the record is a login, or may be, and cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class AdapterOptions:
    """What the operator says to an adapter. `policy` as its Policies name them, `users` of machines without names,
    `columns` as the source calls them, `date` of a source that is of one day.
    """

    zone: ZoneInfo | None = None
    policy: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, Mapping[str, str]] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    date: date | None = None


class Policy(NamedTuple):
    """A decision that is the provider's. The first value is the default; with none, any text (default: empty)."""

    what: str
    values: tuple[str, ...] = ()


Policies = Mapping[str, Policy]


def decided(policies: Policies, given: Mapping[str, str]) -> dict[str, str]:
    """A value for every policy. Raises ConfigurationError for a name or a value that is not among them."""
    for name, value in given.items():
        if name not in policies:
            known = ", ".join(policies) or "none"
            raise ConfigurationError(f"--policy {name}={value}: there is no such policy here; there are: {known}")
        if (allowed := policies[name].values) and value not in allowed:
            raise ConfigurationError(f"--policy {name}={value}: write {' or '.join(allowed)} ({policies[name].what})")
    return {name: given.get(name, policy.values[0] if policy.values else "") for name, policy in policies.items()}


def optional(record: Record, name: str) -> str | None:
    """A member as text; None where it is missing, null or empty."""
    value = record.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refusal("wrong_type", f"{name}: is not text")
    return str(value)


def needed(record: Record, name: str, cure: str) -> str:
    """A member that a login cannot be without."""
    value = optional(record, name)
    if value is None:
        raise Refusal("missing_member", f"{name}: is missing or empty; {cure}")
    return value


def moment(record: Record, name: str, zone: ZoneInfo | None, cure: str) -> str:
    """A member that is a time: text, or a database driver's datetime. One without an offset was written in `zone`."""
    value = record.get(name)
    return to_utc(value, zone) if isinstance(value, datetime) else read_time(needed(record, name, cure), zone)


def part(record: Record, name: str) -> Record:
    """A member that is an object; an empty one where it is missing or null."""
    value = record.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Refusal("wrong_type", f"{name}: is not an object")
    return value


to_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""Compact UTF-8 JSON."""


def login_event(
    seen: Seen, place: str, *, source: str | None = None, tenant: str | None = None, sku: str | None = None
) -> bytes:
    """The login as an event of the contract. `place` is its id where the broker has none; `source` comes before the
    adapter's own, the record's tenant and SKU before `tenant` and `sku`. Raises Refusal.
    """
    data: dict[str, Any] = {
        name: value
        for name, value in (
            ("tenant", seen.tenant or tenant), ("sku", seen.sku or sku), ("product", seen.product),
        )
        if value
    }  # fmt: skip
    names = (("upn", seen.upn), ("sid", seen.sid), ("sam", seen.sam))
    if identities := {name: value for name, value in names if value}:
        data["identities"] = identities
    value = {
        "specversion": "1.0", "id": seen.id or place, "source": source or seen.source, "type": EVENT_TYPE,
        "time": seen.time, "subject": seen.subject, "data": data,
    }  # fmt: skip
    event_from(value)
    return to_json(value)
