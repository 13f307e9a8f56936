"""Where else a clear name is, which no command takes out there, and when it is gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from infra.kafka.topics import describe
from schemas.catalogue import Catalogue
from schemas.identity import canonical
from schemas.settings import Settings
from stream_jobs.month_close.allowances import glob
from stream_jobs.subjects.person import Person

_SEGMENT_MS: Final = 604_800_000
"""Kafka's default."""


class Kept(NamedTuple):
    where: str
    until: datetime | None
    """None: until somebody takes it out."""
    what: str


def kept(settings: Settings, person: Person, catalogues: Mapping[int, Catalogue], now: datetime) -> list[Kept]:
    """Raises CheckFailed when a topic is missing, OutOfReach without Kafka."""
    return [*topics(settings, now), *_named(person, catalogues), *_files(settings)]


def topics(settings: Settings, now: datetime) -> Iterable[Kept]:
    """Kafka's topics, by the retention that they really have."""
    for topic, what in (
        (settings.kafka.topic, "events as they came"),
        (settings.kafka.quarantine_topic, "events that were set aside, as they came"),
    ):
        config = describe(settings, topic).config
        yield Kept(
            f"Kafka topic {topic}", gone_by(config, now), f"{what}; what is there now, if no further login comes"
        )


def gone_by(config: Mapping[str, str], now: datetime) -> datetime | None:
    """When the last of what a topic holds now is gone at the latest; None: never. Pure.

    Kafka removes a segment once its newest record is older than the retention, and a segment may take records for
    `segment.ms` after its first.
    """
    retention = int(config["retention.ms"])
    if retention < 0:
        return None
    return now + timedelta(milliseconds=retention + int(config.get("segment.ms", _SEGMENT_MS)))


def _named(person: Person, catalogues: Mapping[int, Catalogue]) -> Iterable[Kept]:
    """Catalogue versions are evidence and never change."""
    found = {version: where for version, catalogue in sorted(catalogues.items())
             if (where := named_in(person, catalogue))}  # fmt: skip
    if found:
        parts = dict.fromkeys(part for where in found.values() for part in where)
        yield Kept(
            f"catalogue versions {', '.join(map(str, found))}", None,
            f"{', '.join(parts)}: stored for good; take the name out of the file and apply that. An exclusion or free "
            f"user is not matched by an erased name: closes from now on count the person",
        )  # fmt: skip


def named_in(person: Person, catalogue: Catalogue) -> list[str]:
    """The parts of a catalogue that name the person. Pure."""
    found = []
    for part in ("exclusions", "free_users"):
        for entry in getattr(catalogue, part):
            if entry.tenant != person.tenant:
                continue
            by_name = entry.subject is not None and _same(entry.subject, person)
            by_pattern = entry.pattern is not None and any(
                re.fullmatch(glob(form), name)
                for name in person.names for form in (entry.pattern, canonical(entry.pattern))
            )  # fmt: skip
            if by_name or by_pattern:
                found.append(f"{part} ({'by name' if by_name else 'by pattern'}, {entry.reason})")
    found += [
        "aliases" for alias in catalogue.aliases
        if alias.tenant == person.tenant and any(_same(name, person) for name in alias.same)
    ]  # fmt: skip
    return found


def _same(name: str, person: Person) -> bool:
    return bool({canonical(name), canonical(name, False)} & person.names)


def _files(settings: Settings) -> Iterable[Kept]:
    home = settings.home.absolute()
    yield Kept(f"{home / 'rejects'}, on each host that pushes files", None, "refused lines; delete them there")
    yield Kept(f"{home / 'sources'}/*.rejects, where brokers are read", None, "refused records; delete them there")
    spool = settings.gateway.spool or home / "gateway-spool"
    kept = "events until Kafka has them; empty while Kafka answers, but for files set aside (.too-large, .rest)"
    yield Kept(f"{spool}, on each gateway's host", None, kept)
    yield Kept(f"{home / 'sources'}/*.spool, on each syslog listener's host", None, kept)
    yield Kept("bundles and exports made with names, backups of ClickHouse, the brokers themselves", None, "yours")
