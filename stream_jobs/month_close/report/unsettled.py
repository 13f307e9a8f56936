"""What of a month a seal does not count and may yet have to: set aside, behind the close, or lost unread.

These functions raise the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from datetime import date

from clickhouse_connect.driver.client import Client

from infra.lost_offsets import lost_offsets
from schemas.calendar import moment_of, month_interval, month_name, next_month, zone_named
from schemas.close import Seal
from schemas.quarantine import State
from schemas.report import Finding, SetAside
from stream_jobs.month_close.agreements import agreement_covering
from stream_jobs.month_close.rows import rows_of
from stream_jobs.month_close.versions import Versions


def events_set_aside(client: Client, month: date, time_zone: str) -> list[SetAside]:
    """The month's quarantined events that nobody waived and no replay has counted, by reason and source.

    An event is of the month by its own time in the programme's zone; where that is unknown, it is of the month in
    which its record was appended, and of the one before (decision 10). Nobody knows an event's agreement, so every
    agreement's report shows it.
    """
    zone = zone_named(time_zone)
    start, end = month_interval(month, zone)
    appended_until = month_interval(next_month(month), zone)[1]
    found = client.query(
        "SELECT joined.reason AS reason, broker, occurred IS NOT NULL AS known, count() FROM"
        " (SELECT max(latest) AS joined, max(q.source) AS broker, max(q.event_time) AS occurred,"
        " min(q.append_time) AS appended FROM quarantine AS q GROUP BY topic_id, partition, offset, place)"
        " WHERE joined.state NOT IN %(done)s AND if(occurred IS NOT NULL,"
        " toUnixTimestamp64Micro(occurred) >= %(start)s AND toUnixTimestamp64Micro(occurred) < %(end)s,"
        " toUnixTimestamp64Milli(appended) * 1000 >= %(start)s AND toUnixTimestamp64Milli(appended) * 1000 < %(until)s)"
        " GROUP BY reason, broker, known ORDER BY reason, broker, known",
        parameters={"done": [State.waived, State.counted], "start": start, "end": end, "until": appended_until},
    ).result_rows
    return [
        SetAside(reason=reason, source=source or "unknown", events=events, of_month="event" if known else "append")
        for reason, source, known, events in found
    ]


def subjects_arriving(client: Client, versions: Versions, seal: Seal) -> int:
    """Subjects of the agreement's month that are known only from behind the seal's close, summed over its cells.

    Whose a cell is, is asked of the newest catalogue version: what arrived late may be of a SKU that came later too.
    """
    rows = rows_of(client, seal.month, aliases=seal.alias_versions)
    found = client.query(
        "SELECT tenant, sku, uniqExact(reinterpretAsUInt128(subject))"
        f" - uniqExactIf(reinterpretAsUInt128(subject), recorded_in < %(number)s) AS arriving {rows.source}"
        f" AND (tenant, sku) IN (SELECT DISTINCT tenant, sku {rows.identities} AND recorded_in >= %(number)s)"
        " GROUP BY tenant, sku HAVING arriving > 0",
        parameters={**rows.parameters, "number": seal.close_number},
    ).result_rows
    version = versions.newest or seal.catalogue_version
    skus = versions.skus({sku for _, sku, _ in found}, version)

    def owner(tenant: str, sku: str) -> str:
        programme = skus[sku].programme
        return agreement_covering(versions.with_programme(programme, version), programme, tenant, seal.month)

    return sum(arriving for tenant, sku, arriving in found if owner(tenant, sku) == seal.agreement)


def offsets_lost(client: Client, month: date, time_zone: str) -> list[Finding]:
    """A blocking finding for each stretch of the log that retention took unread and that the month may have been in."""
    start, end = (moment_of(us) for us in month_interval(month, zone_named(time_zone)))
    return [
        Finding(
            id=f"offsets_lost:{lost.topic_id}:{lost.partition}:{lost.expected}", kind="offsets_lost",
            severity="blocking",
            text=f"the log lost {lost.found - lost.expected} records of partition {lost.partition} before they were "
            f"read (offsets {lost.expected} to {lost.found - 1}, appended until {lost.before:%Y-%m-%d %H:%M}Z), and "
            f"logins of {month_name(month)} may be among them: push them again from the source and close again, or "
            "waive this",
        )
        for lost in lost_offsets(client)
        if lost.concern(start, end)
    ]  # fmt: skip
