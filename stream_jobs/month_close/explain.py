"""The evidence behind one number: the counted subjects of a month, tenant and SKU, each with its first login.

`rollcall explain MONTH TENANT SKU --format csv | tail -n +2 | cut -d, -f1 | LC_ALL=C sort | sha256sum` is the
digest of that cell in the newest seal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect, explained, utc
from infra.errors import ConfigurationError
from infra.lookups import Asker, keep
from schemas.calendar import month_name
from schemas.close import CountedSubject, Seal
from schemas.settings import Settings
from stream_jobs.month_close.agreements import agreement_covering
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import IN_ORDER
from stream_jobs.month_close.left_out import names_readable
from stream_jobs.month_close.rows import rows_of
from stream_jobs.month_close.seal import seals, sizes

PAGE = 20_000
_FULL = 32
# In the order of both tables, so that a page reads little more than itself.
_RANGE = (
    "tenant = %(tenant)s AND sku = %(sku)s"
    " AND subject {from} unhex(%(after)s) AND subject <= unhex(%(last)s)"
)
_SEALED = (
    "SELECT lower(hex(subject)), first_event.1, first_event.2, first_event.3, reason FROM seal_subjects"
    f" WHERE month = %(month)s AND {_RANGE} AND agreement = %(agreement)s AND close_number = %(number)s"
    " AND (counted OR %(everybody)s) ORDER BY subject LIMIT %(page)s"
)
_LIVE = (
    "SELECT lower(hex(subject)), first.1, first.2, first.3, '' FROM ("
    f"SELECT subject, min(first_event) AS first {{rows}} AND {_RANGE}"
    " GROUP BY subject ORDER BY subject LIMIT %(page)s) ORDER BY subject"
)
_IDENTITIES = (
    "SELECT lower(hex(representative)), groupUniqArray(lower(hex(subject))) FROM alias_members"
    " WHERE (tenant, version) IN %(aliases)s AND representative IN"
    " (SELECT toFixedString(unhex(arrayJoin(%(subjects)s)), 16)) GROUP BY representative"
)
_NAMES = (
    "SELECT lower(hex(subject)), any(name) FROM known_names WHERE tenant = %(tenant)s"
    " AND subject IN (SELECT toFixedString(unhex(arrayJoin(%(subjects)s)), 16)) GROUP BY subject"
)


@dataclass(frozen=True)
class Explanation:
    """`seal` is the one that the subjects are counted in; None when the month is not closed: then as known now."""

    seal: Seal | None
    pages: Iterator[list[CountedSubject]]
    """In order of subject; each page is asked for when it is taken."""
    aliases: str = ""
    """The version of the tenant's aliases by which it is counted; empty where none hold."""


def explain(
    settings: Settings, month: date, tenant: str, sku: str, subject: str | None = None, *, everybody: bool = False,
    names: Asker | None = None, page: int = PAGE,
) -> Explanation:  # fmt: skip
    """The counted subjects of the newest seal, or of the table where the month is not closed.

    `subject` is 32 hex digits, or the first few. With `everybody` those too that the seal leaves out. `names` asks who
    they are, which is kept page by page, before the names are read. Raises ConfigurationError when `subject` is none,
    when neither the catalogue nor the month knows the tenant or the SKU, and with the page, when the account may not
    read names or keep that it does.
    """
    prefix = (subject or "").lower()
    if len(prefix) > _FULL or prefix.strip("0123456789abcdef"):
        raise ConfigurationError(f"{subject!r} is not a subject: write up to {_FULL} hex digits, as `explain` prints")
    client = connect(settings)
    with explained(settings.clickhouse):
        seal = _seal_of(client, month, tenant, sku)
        rows = rows_of(client, month, aliases=seal.alias_versions if seal else None)
        rows = rows if tenant in rows.aliases else rows.unlinked()
        query = _SEALED if seal else _LIVE.replace("{rows}", rows.source)
    parameters = {
        **rows.parameters, "tenant": tenant, "sku": sku, "page": page, "last": prefix.ljust(_FULL, "f"),
        "agreement": seal.agreement if seal else "", "number": seal.close_number if seal else 0,
        "everybody": int(everybody),
    }  # fmt: skip
    pages = _pages(settings, client, query, parameters, prefix.ljust(_FULL, "0"), names)
    return Explanation(seal, pages, rows.aliases.get(tenant, ""))


def _seal_of(client: Client, month: date, tenant: str, sku: str) -> Seal | None:
    """The newest seal that has subjects of the cell; else that of the SKU's agreement, which counts none of it."""
    newest = {seal.agreement: seal for seal in seals(client, month)}
    holding = [seal for seal in newest.values() if (tenant, sku) in sizes(seal)]
    if holding:
        return max(holding, key=lambda seal: seal.close_number)
    versions = stored_versions(client)
    catalogue = versions.at(versions.newest) if versions.newest is not None else None
    known = {s.id: s for s in catalogue.skus} if catalogue else {}
    tenants = {t.id for t in catalogue.tenants} if catalogue else set()
    if (sku not in known or tenant not in tenants) and not _has_rows(client, month, tenant, sku):
        what = f"SKU {sku}" if sku not in known else f"tenant {tenant}"
        raise ConfigurationError(
            f"the catalogue has no {what}, and {month_name(month)} has no login of it: mend the spelling; "
            f"`rollcall counts {month_name(month)}` lists what there is"
        )
    if catalogue is None or sku not in known:
        return None
    return newest.get(agreement_covering(catalogue, known[sku].programme, tenant, month))


def _has_rows(client: Client, month: date, tenant: str, sku: str) -> bool:
    rows = rows_of(client, month)
    return bool(
        client.query(
            f"SELECT 1 {rows.source} AND tenant = %(tenant)s AND sku = %(sku)s LIMIT 1",
            parameters={**rows.parameters, "tenant": tenant, "sku": sku},
        ).result_rows
    )


def _pages(
    settings: Settings, client: Client, query: str, parameters: dict[str, Any], first: str, names: Asker | None
) -> Iterator[list[CountedSubject]]:
    after, comparison = first, ">="
    while True:
        with explained(settings.clickhouse):
            rows = client.query(
                query.replace("{from}", comparison), parameters={**parameters, "after": after}, settings=IN_ORDER
            ).result_rows
            linked = _identities(client, parameters, [row[0] for row in rows])
            asked = [one for row in rows for one in linked.get(row[0], row[:1])]
            known = _names(client, names, parameters, asked) if names and rows else {}
        found = [
            CountedSubject(
                subject=s, first_login=utc(t), source=source, id=id, reason=reason, identities=linked.get(s, []),
                name=" = ".join(sorted(known[one] for one in linked.get(s, [s]) if one in known)) or None,
            )
            for s, t, source, id, reason in rows
        ]
        if found:
            yield found
        if len(found) < parameters["page"]:
            return
        after, comparison = found[-1].subject, ">"


def _identities(client: Client, cell: dict[str, Any], subjects: list[str]) -> dict[str, list[str]]:
    """All pseudonyms of those who have several, by the one that stands for them."""
    if not cell["aliases"]:
        return {}
    found = client.query(_IDENTITIES, parameters={**cell, "subjects": subjects}).result_rows
    return {standing: sorted([standing, *others]) for standing, others in found}


def _names(client: Client, asker: Asker, cell: dict[str, Any], subjects: list[str]) -> dict[str, str]:
    tenant = cell["tenant"]
    keep(client, asker, len(subjects), tenant=tenant, sku=cell["sku"], month=cell["month"])
    with names_readable(client):
        found = client.query(_NAMES, parameters={"tenant": tenant, "subjects": subjects}, settings=IN_ORDER).result_rows
    return dict(found)
