"""Trips of the cap and their lifts, as they are stored: what one worker found stops all of them."""

from __future__ import annotations

from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed
from schemas.settings import Settings
from stream_jobs.dedup.cap import Trip


class Standing(NamedTuple):
    """A source's newest trip or lift. `ends`: of a lift, the offset by partition up to which it lets pass."""

    source: str
    number: int
    action: str
    events: int
    refused: int
    ends: dict[int, int]


def standing(client: Client) -> list[Standing]:
    """What stands of each source, by its name. Raises the driver's errors."""
    # Of a trip and a lift under one number (both asked at once) the trip stands: lifting again is easy.
    rows = client.query(
        "SELECT source, argMax((number, action, events, refused, ends), (number, action)) FROM quarantine_caps "
        "GROUP BY source ORDER BY source"
    ).result_rows
    return [Standing(source, *newest) for source, newest in rows]


def read_lifts(client: Client, settings: Settings) -> dict[str, dict[int, int]]:
    """By source, the offset of each partition up to which a lift lets pass. Raises CheckFailed for a standing trip."""
    found = standing(client)
    for each in found:
        if each.action == "trip":
            raise CheckFailed(cap_sentence(Trip(each.source, each.events, each.refused), settings))
    return {each.source: each.ends for each in found}


def store_trip(client: Client, trip: Trip) -> None:
    """Every worker stops from now on."""
    client.command(
        "INSERT INTO quarantine_caps (source, number, action, events, refused) "
        "SELECT {s:String}, coalesce(max(number), 0) + 1, 'trip', {e:UInt64}, {r:UInt64} "
        "FROM quarantine_caps WHERE source = {s:String}",
        parameters={"s": trip.source, "e": trip.events, "r": trip.refused},
    )


def cap_sentence(trip: Trip, settings: Settings) -> str:
    return (
        f"{trip.refused} of {trip.events} events of source {trip.source!r} would go to the quarantine, more than "
        f"{settings.worker.quarantine_ratio:.0%}: nothing of them is stored and no worker goes on. See what it sends "
        f"(`rollcall quarantine list` has what was set aside before), mend the source or the catalogue, then "
        f"`rollcall quarantine lift {trip.source!r}` lets pass what is in the log now, and start the worker again"
    )
