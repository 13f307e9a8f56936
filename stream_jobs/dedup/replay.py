"""The headers of a quarantined event: what it is in `logins.quarantine`, and when it is sent round again."""

from __future__ import annotations

from typing import NamedTuple

from schemas.quarantine import Origin
from stream_jobs.dedup.batch import Headers

ORIGIN, REPLAY = "rollcall-origin", "rollcall-replay"
REASON, DETAIL, APPENDED = "rollcall-reason", "rollcall-detail", "rollcall-append-time"
PREFIX = "rollcall-"


class Replay(NamedTuple):
    """Where the event first stood, and how often it has been sent round again (from 1)."""

    origin: Origin
    number: int


def read_replay(headers: Headers) -> Replay | None:
    """The replay that a record's headers tell of; headers that cannot be read make it an event like any other."""
    found = dict(headers)
    origin, number = found.get(ORIGIN), found.get(REPLAY)
    if origin is None or number is None:
        return None
    try:
        replay = Replay(Origin.parse(origin.decode("ascii")), int(number))
    except ValueError:
        return None
    return replay if 0 < replay.number < 1 << 32 else None


def replay_headers(replay: Replay) -> list[tuple[str, bytes]]:
    return [(ORIGIN, str(replay.origin).encode()), (REPLAY, str(replay.number).encode())]


def own_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """A record's headers without Rollcall's: content type and CloudEvents' attributes, as they came."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]
