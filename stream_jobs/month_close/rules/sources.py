"""Declared sources that fell silent in the month, that have not told that all of it is sent, or could not read all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schemas.calendar import month_name, zone_named
from schemas.parts import Severity
from schemas.report import Finding, SourceSeen
from schemas.rules import Rule
from schemas.source_declared import length
from stream_jobs.month_close.rules.numbers import Numbers, Verdict, several

KINDS: Final = ("silent_source", "no_watermark", "refused_records")
_SHOWN: Final = 5


def silent(_: Sequence[Rule], numbers: Numbers) -> Verdict:
    return Verdict(
        [
            Finding(
                id=f"silent_source:{seen.source}", kind="silent_source", severity=_severity(numbers),
                text=f"{seen.source} was silent for {length(seen.missed)} of its expected hours of "
                f"{month_name(numbers.month)} ({_times(seen)}): push what it kept of them and close again, or waive "
                "this if nobody logged in.",
            )
            for seen in numbers.sources if seen.silent
        ]
    )  # fmt: skip


def unanswered(_: Sequence[Rule], numbers: Numbers) -> Verdict:
    return Verdict(
        [
            Finding(
                id=f"no_watermark:{seen.source}", kind="no_watermark", severity=_severity(numbers),
                text=f"{seen.source} {why}, so logins of {month_name(numbers.month)} may be missing: see that it runs "
                "and reaches Kafka (`rollcall status`), then close again, or waive this.",
            )
            for seen in numbers.sources if (why := why_unanswered(seen))
        ]
    )  # fmt: skip


def unread(_: Sequence[Rule], numbers: Numbers) -> Verdict:
    return Verdict(
        [
            Finding(
                id=f"refused_records:{seen.source}", kind="refused_records", severity=_severity(numbers),
                text=f"{seen.source} {why}, so logins of {month_name(numbers.month)} may be missing: mend and push "
                "them, take the file away (docs/silence.md), then close again, or waive this if none was of the month.",
            )
            for seen in numbers.sources if (why := why_unread(seen))
        ]
    )  # fmt: skip


def why_unread(seen: SourceSeen) -> str:
    """A clause; empty when its reader had read everything."""
    return f"had {several(seen.refused, 'record')} that could not be read as logins" if seen.refused else ""


def why_unanswered(seen: SourceSeen) -> str:
    """A clause; empty when it was not asked, or has told that all is sent."""
    if seen.asked_until is None:
        return ""
    if seen.complete_to is None:
        return "has never told how far it has sent"
    if seen.complete_to < seen.asked_until:
        return f"has told that all is sent until {_utc(seen.complete_to)} only"
    return "had logins that waited for Kafka" if seen.waiting else ""


def _severity(numbers: Numbers) -> Severity:
    return "blocking" if numbers.agreement.silent_sources == "block" else "warning"


def _times(seen: SourceSeen) -> str:
    zone = zone_named(seen.silent[0].time_zone)
    shown = [
        " to ".join(f"{each.astimezone(zone):%Y-%m-%d %H:%M}" for each in (time.start, time.end))
        for time in seen.silent[:_SHOWN]
    ]
    more = f" and {several(len(seen.silent) - _SHOWN, 'more time')}" if len(seen.silent) > _SHOWN else ""
    return f"{', '.join(shown)}{more}, {zone.key}"


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}Z"
