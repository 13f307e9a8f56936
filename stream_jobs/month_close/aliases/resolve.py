"""Who is who in a month: its links resolved as of now, stored under their version, for counts and dashboards.

A version is stored once and never changed, so a seal that cites it can be counted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.generation import in_force
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.calendar import next_month
from schemas.catalogue import Catalogue
from schemas.settings import Settings
from stream_jobs.month_close.aliases.components import representatives, version
from stream_jobs.month_close.aliases.links import Links, links_in
from stream_jobs.month_close.catalogues import stored_versions

Aliases = Mapping[str, str]
"""By tenant, the version that holds; tenants without any link are not in it."""

MONTHS_AHEAD = 24
"""For which dashboards know beforehand what holds."""
_BLOCK = 100_000


def resolve(settings: Settings, client: Client, catalogue: Catalogue, month: date) -> Aliases:
    """What holds in the month by this catalogue and all that is decided now; stored when this returns.

    Raises ConfigurationError when the catalogue has aliases in the month and the pseudonym key is not here, else the
    driver's errors.
    """
    links = links_in(client, catalogue, month, lambda: _pseudonyms(settings))
    held = {tenant: version(pairs) for tenant, pairs in sorted(links.items())}
    _store_members(client, links, held)
    before = current(client, month)
    changed = [[month, t, held.get(t, "")] for t in before.keys() | held.keys() if before.get(t) != held.get(t)]
    if changed:
        client.insert("alias_versions", changed, column_names=["month", "tenant", "version"])
    return held


def current(client: Client, month: date) -> Aliases:
    """What was resolved last, as dashboards count."""
    rows = client.query(
        "SELECT tenant, argMax(version, stored_at) AS newest FROM alias_versions WHERE month = %(month)s"
        " GROUP BY tenant HAVING newest != '' ORDER BY tenant",
        parameters={"month": month},
    ).result_rows
    return dict(rows)


def resolve_again(settings: Settings, client: Client, today: date, within: Iterable[date] | None = None) -> list[date]:
    """Resolves by the newest catalogue the months that have logins and those ahead; those whose aliases changed.

    `within` narrows them. Raises as `resolve` does, and OutOfReach.
    """
    with explained(settings.clickhouse):
        versions = stored_versions(client)
        if versions.newest is None:
            return []
        catalogue = versions.at(versions.newest)
        months = {row[0] for row in client.query(f"SELECT DISTINCT month FROM {in_force(client).table}").result_rows}
        month = today.replace(day=1)
        for _ in range(MONTHS_AHEAD):
            months.add(month)
            month = next_month(month)
        if within is not None:
            months &= set(within)
        if not _any(client, catalogue):
            return []
        changed = []
        for month in sorted(months):
            before = current(client, month)
            if resolve(settings, client, catalogue, month) != before:
                changed.append(month)
        return changed


def _any(client: Client, catalogue: Catalogue) -> bool:
    """Whether there is or was anything to resolve."""
    if catalogue.aliases or any(tenant.alias_policy.identities == "apply" for tenant in catalogue.tenants):
        return True
    [[stored]] = client.query(
        "SELECT (SELECT count() FROM alias_ledger WHERE act != 'proposed') + (SELECT count() FROM alias_versions)"
    ).result_rows
    return bool(stored)


def _store_members(client: Client, links: Links, held: Aliases) -> None:
    if not held:
        return
    stored = client.query(
        "SELECT tenant, version, uniqExact(subject) FROM alias_members WHERE (tenant, version) IN %(held)s"
        " GROUP BY tenant, version",
        parameters={"held": list(held.items())},
    ).result_rows
    known = {(tenant, name): members for tenant, name, members in stored}
    for tenant, name in held.items():
        rows = [
            [tenant, name, subject, standing]
            for subject, standing in representatives(links[tenant]).items() if subject != standing
        ]  # fmt: skip
        if known.get((tenant, name)) == len(rows):  # else it is new, or whoever stored it was killed
            continue
        for start in range(0, len(rows), _BLOCK):
            client.insert(
                "alias_members", rows[start : start + _BLOCK],
                column_names=["tenant", "version", "subject", "representative"],
            )  # fmt: skip


def _pseudonyms(settings: Settings) -> MonthlyPseudonyms:
    return MonthlyPseudonyms(pseudonym_keys(settings))
