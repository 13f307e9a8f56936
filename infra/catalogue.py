"""The catalogue's stored versions: immutable, numbered from 1, and announced in the log by control records.

A version is stored first and announced after, so whoever meets its control record finds it. Every step may be
repeated: what a crash left undone, the next `apply` of the same text (or `migrate`) completes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained, utc
from infra.errors import CheckFailed, ConfigurationError
from infra.kafka.control import Written, write_control
from infra.kafka.topics import describe
from schemas.amendment import changes_of_sealed
from schemas.calendar import moment_of
from schemas.catalogue import Catalogue, CatalogueError, parse_catalogue
from schemas.catalogue_pieces import Pieces
from schemas.catalogue_text import Fault
from schemas.control import ControlRecord
from schemas.rules import DueDayRule
from schemas.settings import Settings

_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2149, 6, 1)
"""Of ClickHouse's Date, as far as months are kept: for always, and for no end."""


class StoredCatalogue(NamedTuple):
    version: int
    sha256: str
    yaml: str
    stored_at: datetime
    """UTC."""
    reason: str
    """Why it was applied although it changes sealed months; else empty."""


class ApplyResult(NamedTuple):
    """What `apply` did: the version that holds the text, whether it is new, and the control records written now.

    `amended` tells what it changes of sealed months.
    """

    version: int
    stored: bool
    written: Written
    amended: tuple[str, ...] = ()


def stored_versions(client: Client) -> list[StoredCatalogue]:
    """Every version, the oldest first. Raises the driver's errors."""
    rows = client.query(
        "SELECT version, sha256, yaml, stored_at, reason FROM catalogue_versions ORDER BY version"
    ).result_rows
    return [StoredCatalogue(v, sha256, yaml, utc(stored_at), reason) for v, sha256, yaml, stored_at, reason in rows]


def stored_text(client: Client, version: int) -> str | None:
    """The YAML of a version, None when it is not stored. Raises the driver's errors."""
    rows = client.query(
        "SELECT yaml FROM catalogue_versions WHERE version = {v:UInt32}", parameters={"v": version}
    ).result_rows
    return str(rows[0][0]) if rows else None


def load_version(client: Client, version: int) -> Catalogue:
    """A stored version. Raises ConfigurationError when there is none of this number, else the driver's errors."""
    text = stored_text(client, version)
    if text is None:
        raise ConfigurationError(
            f"catalogue version {version} is not stored: `rollcall catalogue history` lists those that are"
        )
    return _parsed(text, f"catalogue version {version}")


@lru_cache(maxsize=16)
def _parsed(text: str, name: str) -> Catalogue:
    """A version never changes, and reading its YAML takes longer than all that is asked of it."""
    return parse_catalogue(text, name)


def checked(text: str, name: str) -> Catalogue:
    """The catalogue of a file's text. Raises ConfigurationError with every fault, a line each."""
    try:
        return parse_catalogue(text, name, _calendars)
    except CatalogueError as error:
        raise ConfigurationError("\n".join(error.faults)) from None


def _calendars(pieces: Pieces) -> Iterator[Fault]:
    """Due days by the holidays of a country that the calendar does not know."""
    asked = {i: r.holidays for i, r in pieces.rules.items() if isinstance(r, DueDayRule) and r.holidays}
    if not asked:
        return
    try:
        from holidays import country_holidays  # half a second, which few catalogues need
    except ImportError:  # a host without the `reports` extra: the one that has it checks too
        return
    for i, country in asked.items():
        code, _, subdivision = country.partition("-")
        try:
            country_holidays(code, subdiv=subdivision or None)
        except NotImplementedError:
            yield ("rules", i, "holidays"), (
                f"no holidays are known of {country!r}; write a country as JP or NL, one with a subdivision as DE-BY"
            )


def digest(text: str) -> str:
    """SHA-256 of the text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def apply(
    settings: Settings, client: Client, text: str, name: str = "catalogue.yaml", amend: str = ""
) -> ApplyResult:
    """Stores the text as the next version, unless it is the newest already, and announces it in every partition.

    A version that changes what holds in sealed months needs a reason, `amend`, which is stored with it. Raises
    ConfigurationError for a faulty catalogue or before the first `migrate`, CheckFailed without that reason or when
    somebody else stored another version in the same moment, OutOfReach when a server is; run again, it completes.
    """
    given = checked(text, name)
    with explained(settings.clickhouse):
        versions = stored_versions(client)
        if not versions:
            raise ConfigurationError("no catalogue is stored yet: run `rollcall migrate`, which stores the first one")
        newest = versions[-1]
        known = newest.sha256 == digest(text)
        version = newest.version if known else newest.version + 1
        changes = () if known else _changes_of_sealed(client, newest, given)
        if changes and not amend.strip():
            raise CheckFailed(
                "\n".join(changes) + "\nnothing is stored: mend these, or give the reason with `rollcall catalogue "
                "apply --amend REASON`: closed again, those months are then corrected by the new version"
            )
        store(client, version, text, amend.strip() if changes else "")
    return ApplyResult(version, not known, announce(settings, client, version), changes)


def _changes_of_sealed(client: Client, newest: StoredCatalogue, given: Catalogue) -> tuple[str, ...]:
    sealed = client.query("SELECT DISTINCT month, agreement FROM seals").result_rows
    if not sealed:
        return ()
    stored = parse_catalogue(newest.yaml, f"catalogue version {newest.version}")
    return tuple(changes_of_sealed(stored, given, [(month, agreement) for month, agreement in sealed]))


def store(client: Client, version: int, text: str, reason: str = "") -> None:
    """Stores a checked text under this number, with what dashboards join; a repeat of the same changes nothing.

    Raises CheckFailed when another text has the number, else the driver's errors.
    """
    catalogue = parse_catalogue(text)
    if not _digests(client, version):
        _insert(
            client, "catalogue_versions", ["version", "sha256", "yaml", "reason"],
            [[version, digest(text), text, reason]],
            # Of two that store this number at once, ClickHouse keeps the first; the other one sees it below. What was
            # stored long ago is not left to the token: a replicated table forgets tokens after a while.
            insert_deduplication_token=f"catalogue-{version}",
        )  # fmt: skip
    if _digests(client, version) != {digest(text)}:
        raise CheckFailed(
            f"somebody else stored catalogue version {version} in the same moment: see `rollcall catalogue history`, "
            f"then run it again"
        )
    zones = {name: programme.time_zone for name, programme in catalogue.programmes.items()}
    skus = [
        [version, s.id, s.name, s.programme, zones[s.programme], s.family, s.deployment, s.unit] for s in catalogue.skus
    ]
    columns = ["version", "sku", "name", "programme", "time_zone", "family", "deployment", "unit"]
    _insert(client, "catalogue_skus", columns, skus)
    tenants = [[version, t.id, t.name] for t in catalogue.tenants]
    _insert(client, "catalogue_tenants", ["version", "tenant", "name"], tenants)
    sources = [
        [version, s.source, s.kind, _held(s.valid_from) or _FIRST_DAY, _held(s.valid_to) or _LAST_DAY,
         int(s.rhythm.silent_after.total_seconds()) if s.rhythm else 0, s.answers]
        for s in catalogue.sources
    ]  # fmt: skip
    columns = ["version", "source", "kind", "valid_from", "valid_to", "silent_after", "answers"]
    _insert(client, "catalogue_sources", columns, sources)


def _held(day: date | None) -> date | None:
    """The nearest day that ClickHouse's Date can hold."""
    return day and min(max(day, _FIRST_DAY), _LAST_DAY)


def _digests(client: Client, version: int) -> set[str]:
    rows = client.query(
        "SELECT sha256 FROM catalogue_versions WHERE version = {v:UInt32}", parameters={"v": version}
    ).result_rows
    return {row[0] for row in rows}


def announce(settings: Settings, client: Client, version: int) -> Written:
    """Writes the version's control record into each partition that is not known to have it, and stores the places.

    Returns what was written now. Partitions that `migrate` adds meanwhile get theirs too.
    """
    written: Written = {}
    while True:
        facts = describe(settings)
        with explained(settings.clickhouse):
            known = client.query(
                "SELECT partition FROM control_places WHERE topic_id = {topic:String} AND kind = 'catalogue' "
                "GROUP BY partition HAVING max(number) >= {v:UInt32}",
                parameters={"topic": facts.topic_id, "v": version},
            ).result_rows
        missing = set(range(facts.partitions)) - {row[0] for row in known} - written.keys()
        if not missing:
            return written
        now = write_control(settings, ControlRecord(kind="catalogue", number=version), missing)
        # The dedup job stores the same when it reads them; the smallest offset wins, whoever is first.
        with explained(settings.clickhouse):
            store_places(client, facts.topic_id, "catalogue", version, now)
        written |= now


def store_places(client: Client, topic_id: str, kind: str, number: int, places: Written) -> None:
    """Stores where a control record stands, by partition; offset -1 is the partition's start."""
    _insert(
        client, "control_places", ["topic_id", "kind", "partition", "number", "offset", "append_time"],
        [[topic_id, kind, p, number, offset, moment_of(ms * 1000)] for p, (offset, ms) in places.items()],
    )  # fmt: skip


def _insert(client: Client, table: str, columns: list[str], rows: list[list[Any]], **settings: Any) -> None:
    if rows:
        client.insert(table, rows, column_names=columns, settings=settings or None)
