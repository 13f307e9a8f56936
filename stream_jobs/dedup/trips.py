"""Trips of the cap and their lifts, as they are stored: what one worker found stops all of them."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed
from schemas.settings import Settings
from stream_jobs.dedup.cap import Trip


def read_lifts(client: Client, settings: Settings) -> dict[str, dict[int, int]]:
    """By source, the offset of each partition up to which a lift lets pass. Raises CheckFailed for a standing trip."""
    lifts = {}
    # Of a trip and a lift under one number (both asked at once) the trip stands: lifting again is easy.
    for source, (action, events, refused, ends) in client.query(
        "SELECT source, argMax((action, events, refused, ends), (number, action)) FROM quarantine_caps GROUP BY source"
    ).result_rows:
        if action == "trip":
            raise CheckFailed(cap_sentence(Trip(source, events, refused), settings))
        lifts[source] = dict(ends)
    return lifts


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
