"""Everything that is stored about one person."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from infra import erasures
from infra.clickhouse.client import explained, utc
from infra.generation import in_force
from infra.lookups import Asker, keep
from schemas.calendar import month_name
from schemas.settings import Settings
from stream_jobs.subjects.mentions import mentions
from stream_jobs.subjects.person import Person, find, other_names
from stream_jobs.subjects.places import kept

_ACTIVE = (
    "SELECT month, sku, lower(hex(subject)), min(first_event) AS first, groupBitOr(active_days), min(recorded_in)"
    " FROM {table} WHERE tenant = %(tenant)s AND lower(hex(subject)) IN %(subjects)s"
    " GROUP BY month, sku, subject ORDER BY month, sku, subject"
)
_SEALED = (
    "SELECT month, agreement, revision, close_number, sku, lower(hex(subject)), first_event, counted, reason"
    " FROM seal_subjects INNER JOIN seals USING (month, agreement, close_number)"
    " WHERE tenant = %(tenant)s AND lower(hex(subject)) IN %(subjects)s"
    " ORDER BY month, agreement, revision, sku, subject"
)
_NAMED = "SELECT DISTINCT name FROM known_names WHERE tenant = %(tenant)s AND lower(hex(subject)) IN %(subjects)s"
_LINKED = (
    "SELECT lower(hex(one)), lower(hex(other)), min(first_month), max(last_month) FROM identity_links"
    " WHERE tenant = %(tenant)s AND (lower(hex(one)) IN %(subjects)s OR lower(hex(other)) IN %(subjects)s)"
    " GROUP BY one, other ORDER BY one, other"
)


def export(settings: Settings, client: Client, tenant: str, name: str, asker: Asker, now: datetime) -> dict[str, Any]:
    """A document for JSON. The look at it is kept before anything is read.

    Raises ConfigurationError (no such tenant, other keys, no right to names), CheckFailed, OutOfReach.
    """
    known = find(settings, client, tenant, name)
    person = known.person
    with explained(settings.clickhouse):
        keep(client, asker, 1, tenant=tenant)
        stored, others = _stored(client, person), other_names(client, person)
    return {
        "tenant": tenant,
        "names": sorted(person.names),
        "other_names": others,
        "pseudonyms": [
            {"from_month": month_name(each.from_month), "name": each.name, "subject": each.subject.hex()}
            for each in person.pseudonyms
        ],
        **stored,
        "quarantine": [str(origin) for origin in mentions(settings, person.names)],
        "also_kept": [
            {"where": place.where, "until": place.until, "what": place.what}
            for place in kept(settings, person, known.catalogues, now)
        ],
    }


def _stored(client: Client, person: Person) -> dict[str, Any]:
    subjects = [subject.hex() for subject in person.subjects]

    def rows(query: str) -> list[Any]:
        found = client.query(query, parameters={"tenant": person.tenant, "subjects": subjects})
        return list(found.result_rows)

    return {
        "name_stored": [name for (name,) in rows(_NAMED)],
        "erased": [each._asdict() for each in erasures.erased(client, person.tenant, person.subjects)],
        "active": [
            {"month": month_name(month), "sku": sku, "subject": subject, **_first(first),
             "days": days_of(month, days), "recorded_in": recorded_in}
            for month, sku, subject, first, days, recorded_in in rows(_ACTIVE.format(table=in_force(client).table))
        ],
        "seals": [
            {"month": month_name(month), "agreement": agreement, "revision": revision, "close": close, "sku": sku,
             "subject": subject, **_first(first), "counted": counted, "reason": reason}
            for month, agreement, revision, close, sku, subject, first, counted, reason in rows(_SEALED)
        ],
        "linked": [
            {"one": one, "other": other, "first_month": month_name(first), "last_month": month_name(last)}
            for one, other, first, last in rows(_LINKED)
        ],
    }  # fmt: skip


def days_of(month: date, bits: int) -> list[date]:
    """The active days of a month; bit d is set for day d. Pure."""
    return [month.replace(day=day) for day in range(1, 32) if bits >> day & 1]


def _first(event: Any) -> dict[str, Any]:
    at, source, event_id = event.values() if isinstance(event, dict) else event
    return {"first_login": utc(at), "source": source, "id": event_id}
