"""What a push of a broker's file would send, for the tests of adapters."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from producers.push import source_for
from producers.sources.lines import Lines
from producers.sources.source import Login, Refused, SourceOptions
from schemas.event import read_event

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sources"


class Outcome(NamedTuple):
    events: list[dict[str, Any]]
    not_logins: dict[str, int]
    refused: list[tuple[int, str, str]]
    """Number, reason, detail."""
    rejects: bytes
    """What the reject file would hold."""

    @property
    def users(self) -> list[str]:
        return [event["subject"] for event in self.events]


def read(data: bytes | str, format: str, name: str = "file", limit: int = 100_000, **options: Any) -> Outcome:
    raw = data.encode() if isinstance(data, str) else data
    source = source_for(SourceOptions(format, **options), name, limit)  # type: ignore[arg-type]
    events, reasons, refused, rejects = [], Counter[str](), [], b""
    for item in source.read(Lines(io.BytesIO(raw), name, limit)):
        if isinstance(item, Login):
            assert read_event(item.event).subject == item.subject
            events.append(json.loads(item.event))
        elif isinstance(item, Refused):
            kept = b"".join(item.raw)
            rejects = (rejects or source.preamble) + kept + (b"" if kept.endswith(b"\n") else b"\n")
            refused.append((item.number, item.refusal.reason, item.refusal.detail))
        elif item.why:
            reasons[item.why] += 1
    return Outcome(events, dict(reasons), refused, rejects)


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()
