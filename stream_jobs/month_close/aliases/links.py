"""The links of a month, by tenant: from the catalogue, from decisions, and from events where policy applies them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.pseudonyms import MonthlyPseudonyms
from schemas.catalogue import Catalogue
from schemas.identity import canonical
from schemas.parts import covers
from stream_jobs.month_close.aliases.components import Link, link

Links = dict[str, set[Link]]
"""By tenant; none of the sets is empty."""


class Decision(NamedTuple):
    """What is decided of a link in a month: the newest act of those whose months have it."""

    tenant: str
    link: Link
    accepted: bool


def links_in(
    client: Client, catalogue: Catalogue, month: date, pseudonyms: Callable[[], MonthlyPseudonyms]
) -> Links:
    """As they are known now. The keys are asked for only where the catalogue has names that hold in the month."""
    decisions = decided(client, month)
    applied = [tenant.id for tenant in catalogue.tenants if tenant.alias_policy.applies(month)]
    return together(_of_catalogue(catalogue, month, pseudonyms), decisions, seen(client, month, applied))


def together(catalogue: Links, decisions: Iterable[Decision], applied: Iterable[tuple[str, Link]]) -> Links:
    """What a person has refused is not applied by policy; the catalogue and what was accepted hold anyhow. Pure."""
    found: dict[str, set[Link]] = defaultdict(set)
    refused = set()
    for tenant, links in catalogue.items():
        found[tenant] |= links
    for decision in decisions:
        if decision.accepted:
            found[decision.tenant].add(decision.link)
        else:
            refused.add((decision.tenant, decision.link))
    for tenant, linked in applied:
        if (tenant, linked) not in refused:
            found[tenant].add(linked)
    return dict(found)


def decided(client: Client, month: date) -> list[Decision]:
    rows = client.query(
        "SELECT tenant, one, other, argMax(act, number) FROM alias_ledger WHERE act != 'proposed'"
        " AND valid_from <= %(month)s AND valid_to > %(month)s GROUP BY tenant, one, other",
        parameters={"month": month},
    ).result_rows
    return [Decision(tenant, (one, other), act == "accepted") for tenant, one, other, act in rows]


def seen(client: Client, month: date, tenants: list[str]) -> list[tuple[str, Link]]:
    """What events of these tenants showed, first and last in months around this one."""
    if not tenants:
        return []
    rows = client.query(
        "SELECT tenant, one, other FROM identity_links WHERE tenant IN %(tenants)s GROUP BY tenant, one, other"
        " HAVING min(first_month) <= %(month)s AND max(last_month) >= %(month)s",
        parameters={"tenants": tenants, "month": month},
    ).result_rows
    return [(tenant, (one, other)) for tenant, one, other in rows]


def _of_catalogue(catalogue: Catalogue, month: date, pseudonyms: Callable[[], MonthlyPseudonyms]) -> Links:
    valid = [alias for alias in catalogue.aliases if covers(*alias.validity, month)]
    if not valid:
        return {}
    hashed = pseudonyms().at(month)
    folded = {tenant.id: tenant.fold_case for tenant in catalogue.tenants}
    found: Links = {}
    for alias in valid:
        first, *others = [hashed.of(alias.tenant, canonical(name, folded[alias.tenant])) for name in alias.same]
        found.setdefault(alias.tenant, set()).update(link(first, other) for other in others)
    return found
