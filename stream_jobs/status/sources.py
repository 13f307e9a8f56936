"""Who sends and who has fallen silent, as of now: the view `sources`, with what the newest catalogue expects."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.catalogue import load_version
from infra.clickhouse.client import utc
from schemas.parts import covers
from schemas.silence import HOUR, Span, expected
from schemas.source_declared import DeclaredSource

LOOK_BACK = timedelta(days=31)
"""How far back the expected hours of a source are asked for of which nothing was heard."""


class SourceState(NamedTuple):
    """Times in UTC. `silent_seconds`: expected ones since it was last heard of; None without a rhythm."""

    source: str
    kind: str
    silent: bool
    silent_seconds: int | None
    last_event: datetime | None
    """Begin of the hour."""
    last_report: datetime | None
    complete_to: datetime | None
    spool_bytes: int | None
    last_poll: datetime | None
    delay_min_ms: int | None
    refused: int
    """Records that its reader could not read as logins."""
    error: str


def read_sources(client: Client, now: datetime) -> list[SourceState]:
    """Silent ones first, then those with an error or something refused, then by name. Raises the driver's errors."""
    [(newest,)] = client.query("SELECT max(version) FROM catalogue_versions").result_rows
    sources = load_version(client, newest).sources if newest else []
    declared = {s.source: s for s in sources if covers(*s.validity, now.date())}
    found = []
    for name, kind, last, report, complete_to, spool, poll, delay, refused, error in client.query(
        "SELECT source, kind, last_event, last_report, complete_to, spool_bytes, last_poll, delay_min_ms,"
        " refused, error FROM sources"
    ).result_rows:
        heard = last and utc(last)
        quiet = silent_seconds(declared[name], heard, now) if name in declared else None
        found.append(SourceState(
            name, kind, quiet is not None and quiet > _allowed(declared[name]), quiet, heard, report and utc(report),
            complete_to and utc(complete_to), spool, poll and utc(poll), delay, refused, error,
        ))  # fmt: skip
    return sorted(found, key=lambda s: (not s.silent, not (s.error or s.refused), s.source))


def silent_seconds(declared: DeclaredSource, last_event: datetime | None, now: datetime) -> int | None:
    """Its expected seconds since the hour in which it was last heard of, of the last 31 days; pure."""
    if declared.rhythm is None:
        return None
    since = int((now - LOOK_BACK).timestamp())
    if declared.valid_from is not None:
        since = max(since, int(datetime.combine(declared.valid_from, datetime.min.time(), now.tzinfo).timestamp()))
    if last_event is not None:
        since = max(since, int(last_event.timestamp()) + HOUR)
    until = max(since, int(now.timestamp()))
    return sum(span.seconds for span in expected(declared.rhythm, Span(since, until)))


def _allowed(declared: DeclaredSource) -> float:
    return declared.rhythm.silent_after.total_seconds() if declared.rhythm else 0.0
