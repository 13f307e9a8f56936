"""What events say of who is who: `data.identities` gives more names of the same person.

Stored are pairs of pseudonyms, the event's subject with each other name, and the months in which they were seen; the
month close proposes them or merges by them. A pair is a join (months as min and max), so repeats and order change
nothing. Only events that have identities come here: none of them is plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from msgspec import UNSET

from infra.pseudonyms import MonthlyPseudonyms
from schemas.fast import Identities, Login
from schemas.identity import canonical
from stream_jobs.dedup.cache import Slot
from stream_jobs.dedup.moment import hour_of, since_epoch
from stream_jobs.dedup.resolve import Resolver

SUBJECT, UPN, SID, SAM = 1, 2, 4, 8
"""Kinds of names, as bits."""
_ENTRIES = 500_000
Names = tuple[str, str, str, str]
"""Of one event as they are spelled: subject, UPN, SID, DOMAIN\\user; empty where there is none."""


class Seen(NamedTuple):
    """Names of one person in a month of a tenant."""

    month: date
    tenant: str
    fold_case: bool
    truncate: bool
    names: Names


class Rows(NamedTuple):
    """What is to be inserted: names as (tenant, subject, name), and links as their table has them."""

    names: list[tuple[str, bytes, str]]
    links: list[tuple[str, bytes, bytes, int, date, date]]


def seen(events: Iterable[Login], resolver: Resolver) -> set[Seen]:
    """Of events that were counted by this resolver."""
    found = set()
    for event in events:
        extra = event.data.identities
        if isinstance(extra, Identities):
            slot, _ = resolver.cell(event).place(since_epoch(event.time), hour_of(event.time))
            found.add(seen_in(slot, event.subject, extra))
    return found


def seen_in(slot: Slot, subject: str, extra: Identities) -> Seen:
    upn, sid, sam = ("" if name is UNSET else str(name) for name in (extra.upn, extra.sid, extra.sam))
    return Seen(slot.month, slot.tenant, slot.fold_case, slot.truncate, (subject, upn, sid, sam))


class Known:
    """What ClickHouse has acknowledged, remembered to save work; bounded, as `Cache` is."""

    def __init__(self, entries: int = _ENTRIES) -> None:
        self._half = max(1, entries // 2)
        self._young: set[Seen] = set()
        self._old: set[Seen] = set()

    def fresh(self, found: Iterable[Seen]) -> list[Seen]:
        return [one for one in found if one not in self._young and one not in self._old]

    def learn(self, stored: Iterable[Seen]) -> None:
        for one in stored:
            self._young.add(one)
            if len(self._young) >= self._half:
                self._old, self._young = self._young, set()


def rows_of(found: Sequence[Seen], pseudonyms: MonthlyPseudonyms, erased: frozenset[tuple[str, bytes]]) -> Rows:
    """The rows of what was seen, each once; no name of `erased` is in them."""
    named: dict[tuple[str, bytes], str] = {}
    linked: dict[tuple[str, bytes, bytes], tuple[int, date, date]] = {}
    for month, tenant, fold_case, truncate, names in found:
        hashed = pseudonyms.at(month).of
        first: bytes | None = None
        for kind, spelled in zip((SUBJECT, UPN, SID, SAM), names, strict=True):
            name = canonical(spelled, fold_case, truncate)
            if not name:
                continue
            subject = hashed(tenant, name)
            if not (erased and (tenant, pseudonyms.first.of(tenant, name)) in erased):
                named[tenant, subject] = name
            if first is None:
                first = subject
            elif subject != first:
                key = (tenant, min(first, subject), max(first, subject))
                kinds, start, end = linked.get(key, (0, month, month))
                linked[key] = (kinds | SUBJECT | kind, min(start, month), max(end, month))
    return Rows(
        [(tenant, subject, name) for (tenant, subject), name in named.items()],
        [(*pair, *rest) for pair, rest in linked.items()],
    )
