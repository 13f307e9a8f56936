"""Which events of a request are taken: by the contract, by their size, and by what the key may speak for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from msgspec import UNSET

from producers.client import too_large
from producers.gateway.binding import Unpacked
from schemas.event import LoginEvent, read_event
from schemas.fast import Login, read_run
from schemas.gateway import RefusedEvent
from schemas.quarantine import Refusal


class Rights(Protocol):
    """What a key may speak for."""

    def may(self, source: str, tenant: str | None) -> tuple[str, str] | None:
        """None if it may, else (pointer into the event, what is wrong and the cure)."""
        ...


@dataclass(slots=True)
class Verdict:
    taken: list[tuple[bytes, str]] = field(default_factory=list)
    """Each event's bytes, and the subject by which it is partitioned."""
    refused: list[RefusedEvent] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    """Of the events that are taken."""


def judge(request: Unpacked, rights: Rights, max_event_bytes: int) -> Verdict:
    """Every event in one of the two lists, in the request's order. One bad event costs no neighbour."""
    verdict = Verdict()
    events = request.read
    if events is not None and len(events) == len(request.events):
        whose = {(event.source, event.data.tenant) for event in events}
        if max(map(len, request.events)) <= max_event_bytes and not any(_fault(rights, *each) for each in whose):
            verdict.taken = list(zip(request.events, [event.subject for event in events], strict=True))
            verdict.sources = {source for source, _ in whose}
            return verdict
    for index, raw in enumerate(request.events):
        try:
            if len(raw) > max_event_bytes:
                raise too_large(len(raw), max_event_bytes)
            one = read_one(raw)
        except Refusal as refusal:
            verdict.refused.append(_refused(request, index, _id(raw), refusal))
            continue
        if (fault := _fault(rights, one.source, one.data.tenant)) is not None:
            verdict.refused.append(_forbidden(request, index, one.id, fault))
        else:
            verdict.taken.append((raw, one.subject))
            verdict.sources.add(one.source)
    return verdict


def _fault(rights: Rights, source: str, tenant: object) -> tuple[str, str] | None:
    return rights.may(source, tenant if isinstance(tenant, str) else None)


def read_one(raw: bytes) -> Login | LoginEvent:
    """By the contract; the fast way where that is sure to agree. Raises Refusal."""
    fast = read_run([raw])
    return fast[0] if fast else read_event(raw)


def _refused(request: Unpacked, index: int, id: str | None, refusal: Refusal) -> RefusedEvent:
    pointer = _place(request, index) + refusal.pointer
    return RefusedEvent(index=index, id=id, reason=refusal.reason, pointer=pointer, detail=refusal.detail)


def _forbidden(request: Unpacked, index: int, id: str | None, fault: tuple[str, str]) -> RefusedEvent:
    pointer, detail = fault
    return RefusedEvent(index=index, id=id, reason="forbidden", pointer=_place(request, index) + pointer, detail=detail)


def _place(request: Unpacked, index: int) -> str:
    return f"/{index}" if request.batch else ""


class _Id(msgspec.Struct):
    id: object = UNSET


_id_of = msgspec.json.Decoder(_Id).decode


def _id(raw: bytes) -> str | None:
    """The event's id, where it is readable text of the contract's length."""
    try:
        found = _id_of(raw).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, str) and 0 < len(found) <= 512 and found.isprintable() else None
