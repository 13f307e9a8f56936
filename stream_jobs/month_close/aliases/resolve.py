"""Who is who in a month: its links resolved as of now, stored under their version, for counts and dashboards.

A version is stored once and never changed, so a seal that cites it can be counted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.generation import in_force
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.calendar import next_month
from schemas.catalogue import Catalogue
from schemas.parts import covers
from schemas.settings import Settings
from stream_jobs.month_close.aliases.components import Link, representatives, version
from stream_jobs.month_close.aliases.links import evidence, links_in
from stream_jobs.month_close.catalogues import stored_versions

Aliases = Mapping[str, str]
"""By tenant, the version that holds; tenants without any link are not in it."""

MONTHS_AHEAD = 24
"""For which dashboards know beforehand what holds."""
_BLOCK = 100_000


def resolve(
    settings: Settings, client: Client, catalogue: Catalogue, months: Sequence[date]
) -> dict[date, Aliases]:
    """What holds in each month by this catalogue and all that is decided now; stored when this returns.

    Raises ConfigurationError when the catalogue has aliases in a month and the pseudonym key is not here, else the
    driver's errors.
    """
    known, before = evidence(client, catalogue, months), held_in(client, months)
    keys: list[MonthlyPseudonyms] = []

    def hashed() -> MonthlyPseudonyms:
        if not keys:
            keys.append(MonthlyPseudonyms(pseudonym_keys(settings)))
        return keys[0]

    versions: dict[tuple[str, str], set[Link]] = {}
    held: dict[date, Aliases] = {}
    for month in months:
        links = links_in(month, catalogue, known, hashed)
        named = {tenant: version(pairs) for tenant, pairs in sorted(links.items())}
        versions |= {(tenant, name): links[tenant] for tenant, name in named.items()}
        held[month] = named
    _store_members(client, versions)
    changed = [
        [month, tenant, held[month].get(tenant, "")]
        for month in months for tenant in before[month].keys() | held[month].keys()
        if before[month].get(tenant) != held[month].get(tenant)
    ]  # fmt: skip
    if changed:
        client.insert("alias_versions", changed, column_names=["month", "tenant", "version"])
    return held


def current(client: Client, month: date) -> Aliases:
    """What was resolved last, as dashboards count."""
    return held_in(client, [month])[month]


def held_in(client: Client, months: Sequence[date]) -> dict[date, Aliases]:
    """The same of several months."""
    if not months:
        return {}
    rows = client.query(
        "SELECT month, tenant, argMax(version, stored_at) AS newest FROM alias_versions WHERE month IN %(months)s"
        " GROUP BY month, tenant HAVING newest != '' ORDER BY month, tenant",
        parameters={"months": list(months)},
    ).result_rows
    found: dict[date, dict[str, str]] = {month: {} for month in months}
    for month, tenant, name in rows:
        found[month][tenant] = name
    return dict(found)


def resolve_again(
    settings: Settings, client: Client, today: date, within: tuple[date, date] = (date.min, date.max)
) -> list[date]:
    """Resolves by the newest catalogue the months that have logins and those ahead; those whose aliases changed.

    `within` narrows them to those from the first day on and before the second. Raises as `resolve` does; OutOfReach.
    """
    with explained(settings.clickhouse):
        versions = stored_versions(client)
        if versions.newest is None or not _any(client, catalogue := versions.at(versions.newest)):
            return []
        found = {row[0] for row in client.query(f"SELECT DISTINCT month FROM {in_force(client).table}").result_rows}
        month = today.replace(day=1)
        for _ in range(MONTHS_AHEAD):
            found.add(month)
            month = next_month(month)
        months = sorted(month for month in found if covers(*within, month))
        if not months:
            return []
        before = held_in(client, months)
        held = resolve(settings, client, catalogue, months)
        return [month for month in months if held[month] != before[month]]


def links_seen(client: Client) -> bool:
    """Whether events showed any link: what a policy applies of them changes without anybody's hand."""
    return bool(client.query("SELECT 1 FROM identity_links LIMIT 1").result_rows)


def _any(client: Client, catalogue: Catalogue) -> bool:
    """Whether there is or was anything to resolve."""
    if catalogue.aliases or any(tenant.alias_policy.identities == "apply" for tenant in catalogue.tenants):
        return True
    [[stored]] = client.query(
        "SELECT (SELECT count() FROM alias_ledger WHERE act != 'proposed') + (SELECT count() FROM alias_versions)"
    ).result_rows
    return bool(stored)


def _store_members(client: Client, versions: Mapping[tuple[str, str], set[Link]]) -> None:
    """Of each tenant and version, by its links."""
    if not versions:
        return
    stored = client.query(
        "SELECT tenant, version, uniqExact(subject) FROM alias_members WHERE (tenant, version) IN %(versions)s"
        " GROUP BY tenant, version",
        parameters={"versions": list(versions)},
    ).result_rows
    known = {(tenant, name): members for tenant, name, members in stored}
    rows = []
    for (tenant, name), links in versions.items():
        members = [
            [tenant, name, subject, standing]
            for subject, standing in representatives(links).items() if subject != standing
        ]  # fmt: skip
        if known.get((tenant, name)) != len(members):  # it is new, or whoever stored it was killed
            rows += members
    for start in range(0, len(rows), _BLOCK):
        client.insert(
            "alias_members", rows[start : start + _BLOCK],
            column_names=["tenant", "version", "subject", "representative"],
        )  # fmt: skip
