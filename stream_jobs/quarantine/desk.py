"""What `rollcall quarantine` does: list, show, replay, waive, lift.

Functions without settings raise ClickHouse's driver errors (`infra.clickhouse.client.explained` tells what they
mean); the others raise RollcallError only.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed
from infra.lookups import Asker, keep
from schemas.quarantine import Origin, State
from schemas.settings import Settings
from stream_jobs.dedup.batch import Headers
from stream_jobs.quarantine import entries
from stream_jobs.quarantine.caps import Tripped, lift, tripped
from stream_jobs.quarantine.entries import Entry, Selection, Tally, waive
from stream_jobs.quarantine.replays import ReplayReport, replay
from stream_jobs.quarantine.topic import Kept, scan

__all__ = [
    "Entry", "ReplayReport", "Selection", "Shown", "Tally", "Tripped",
    "lift", "list_entries", "replay", "show", "summary", "total", "tripped", "waive",
]  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """An entry with its bytes and headers as they came. Clear names of people are in them."""

    entry: Entry
    value: bytes
    headers: Headers


def list_entries(
    client: Client, *, month: date | None = None, source: str | None = None, reason: str | None = None,
    state: State | None = None, limit: int = 100,
) -> list[Entry]:  # fmt: skip
    """The newest entries that fit (see Selection), the newest first; `total` tells how many there are."""
    return list(entries.listed(client, _selection(month, source, reason, state), limit))


def total(
    client: Client, *, month: date | None = None, source: str | None = None, reason: str | None = None,
    state: State | None = None,
) -> int:  # fmt: skip
    """How many entries fit."""
    return entries.total(client, _selection(month, source, reason, state))


def summary(client: Client, *, month: date | None = None) -> list[Tally]:
    """The entries counted by source, reason and state, in this order."""
    return entries.tallies(client, Selection(month=month))


def show(settings: Settings, client: Client, origin: Origin, asker: Asker) -> Shown:
    """The entry with its bytes from `logins.quarantine`. Clear names of people are in them: show it to the operator.

    The look is kept before they are read. Raises CheckFailed when there is no such entry, or the topic no longer holds
    it; ConfigurationError when the account may not keep the look; OutOfReach without a server.
    """
    with explained(settings.clickhouse):
        entry = next(entries.listed(client, Selection((origin,))), None)
    if entry is None:
        raise CheckFailed(f"no event {origin} was ever set aside; `rollcall quarantine list` has those that were")
    with explained(settings.clickhouse):
        keep(client, asker, 1)
    # A replay that was counted left no record of its number.
    newest = entry.replay - (entry.state is State.counted)
    found: Kept | None = None
    with closing(scan(settings, entry.append_time)) as topic:
        for kept in topic:
            if kept.origin == origin and kept.number <= newest and (found is None or kept.number > found.number):
                found = kept
                if found.number == newest:
                    break
    if found is None:
        raise CheckFailed(
            f"{settings.kafka.quarantine_topic} no longer holds {origin}: it is kept for "
            f"{settings.kafka.retention_days} days; what is left is its line in `rollcall quarantine list`"
        )
    return Shown(entry, found.value, found.headers)


def _selection(month: date | None, source: str | None, reason: str | None, state: State | None) -> Selection:
    return Selection((), month, source, reason, None if state is None else (state,))
