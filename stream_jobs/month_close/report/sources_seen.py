"""What is known of the declared sources in a month: their silences, and whether they have told that all is sent.

`sources_seen` raises the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from schemas.agreement import Agreement
from schemas.calendar import EPOCH, day_start, moment_of, month_interval, next_month, zone_named
from schemas.catalogue import Catalogue
from schemas.parts import overlap
from schemas.report import SilentTime, SourceSeen
from schemas.silence import Span, days_of, expected, heard_spans, silences
from schemas.source_declared import DeclaredSource
from stream_jobs.month_close.agreements import agreement_covering

_SECOND = 1_000_000


class _Told(NamedTuple):
    """What a source said of itself."""

    complete_to: datetime | None = None
    waiting: bool = False
    """At its newest report."""
    refused: int = 0


def sources_seen(
    client: Client, catalogue: Catalogue, agreement: Agreement, month: date, time_zone: str, before_close: int | None
) -> list[SourceSeen]:
    """Of each source that may concern the agreement and has a rhythm, is read here, or is asked for a watermark.

    What they told of themselves is as of close `before_close`; None: as of now.
    """
    declared = [
        s for s in catalogue.sources
        if (s.rhythm or s.reads or s.answers) and overlap(s.validity, (month, next_month(month)))
        and concerns(s, catalogue, agreement, month)
    ]  # fmt: skip
    if not declared:
        return []
    start, end = month_interval(month, zone_named(time_zone))
    whole = Span(start // _SECOND, end // _SECOND)
    names = sorted({s.source for s in declared})
    heard, told = _heard(client, names, whole), _told(client, names, before_close)
    return [_seen(s, whole, time_zone, heard.get(s.source, ()), told.get(s.source, _Told())) for s in declared]


def concerns(declared: DeclaredSource, catalogue: Catalogue, agreement: Agreement, month: date) -> bool:
    """Not if all that the catalogue says of the source (its own tenant and SKU, else its products) is another's."""
    own = (declared.settings.get("tenant"), declared.settings.get("sku"))
    said = [own] if any(own) else [(p.tenant, p.sku) for p in catalogue.products if p.source == declared.source]
    programmes = {sku.id: sku.programme for sku in catalogue.skus}

    def theirs(tenant: str | None, sku: str | None) -> bool:
        return (sku is None or programmes.get(sku) == agreement.programme) and (
            tenant is None or agreement_covering(catalogue, agreement.programme, tenant, month) == agreement.id
        )

    return not said or any(theirs(tenant, sku) for tenant, sku in said)


def _seen(
    declared: DeclaredSource, whole: Span, time_zone: str, heard: Iterable[Span], told: _Told
) -> SourceSeen:
    found: list[SilentTime] = []
    if (rhythm := declared.rhythm) is not None:
        hours = expected(rhythm, _of_its_days(declared, whole, rhythm.zone))
        for silence in silences(hours, heard, int(rhythm.silent_after.total_seconds())):
            found.append(SilentTime(
                start=_moment(silence.start), end=_moment(silence.end), minutes=silence.missed // 60,
                time_zone=rhythm.zone,
            ))  # fmt: skip
    until = _moment(_of_its_days(declared, whole, time_zone).end)
    return SourceSeen(
        source=declared.source, kind=declared.kind, silent=found, asked_until=until if declared.answers else None,
        complete_to=min(told.complete_to, until) if told.complete_to and declared.answers else None,
        waiting=told.waiting and declared.answers, refused=told.refused,
    )  # fmt: skip


def _of_its_days(declared: DeclaredSource, whole: Span, zone: str) -> Span:
    """The part of the month in which it is valid."""
    first, end = (day and day_start(day, zone_named(zone)) // _SECOND for day in declared.validity)
    return Span(first or whole.start, end or whole.end).cut(whole)


def _heard(client: Client, names: list[str], whole: Span) -> Mapping[str, list[Span]]:
    first, last = days_of(whole)
    found: dict[str, list[Span]] = defaultdict(list)
    for source, day, quarters in client.query(
        "SELECT source, day, groupBitOr(quarters) FROM source_activity"
        " WHERE source IN %(names)s AND day BETWEEN %(first)s AND %(last)s GROUP BY source, day",
        parameters={"names": names, "first": first, "last": last},
    ).result_rows:
        found[source] += heard_spans(day, int(quarters))
    return found


def _told(client: Client, names: list[str], before_close: int | None) -> Mapping[str, _Told]:
    rows = client.query(
        "SELECT source, max(complete_to), tupleElement(max(newest), 'spool_bytes') > 0,"
        " tupleElement(max(refused), 'records') FROM source_reports"
        " WHERE source IN %(names)s AND recorded_in < %(close)s GROUP BY source",
        parameters={"names": names, "close": 1 << 32 if before_close is None else before_close},
    ).result_rows
    return {
        source: _Told(utc(to) if utc(to) > EPOCH else None, bool(waits), int(refused))
        for source, to, waits, refused in rows
    }


def _moment(second: int) -> datetime:
    return moment_of(second * _SECOND).astimezone(UTC)
