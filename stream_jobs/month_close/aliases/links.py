"""The links of a month, by tenant: from the catalogue, from decisions, and from events where policy applies them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.pseudonyms import MonthlyPseudonyms
from schemas.catalogue import Catalogue
from schemas.parts import covers
from stream_jobs.month_close.aliases.components import Link, link

Links = dict[str, set[Link]]
"""By tenant; none of the sets is empty."""


class Decision(NamedTuple):
    """In the months from the first and before the second."""

    tenant: str
    link: Link
    accepted: bool
    valid_from: date
    valid_to: date


class Seen(NamedTuple):
    """What events showed, in the months from the first to the last."""

    tenant: str
    link: Link
    first: date
    last: date


class Evidence(NamedTuple):
    """What is known beside the catalogue, of some months; decisions in the order in which they were made."""

    decisions: Sequence[Decision] = ()
    seen: Sequence[Seen] = ()


def evidence(client: Client, catalogue: Catalogue, months: Sequence[date]) -> Evidence:
    """As it is known now, of these months. Raises the driver's errors."""
    within: dict[str, object] = {"first": min(months), "last": max(months)}
    decided = client.query(
        "SELECT tenant, one, other, act, valid_from, valid_to FROM alias_ledger WHERE act != 'proposed'"
        " AND valid_from <= %(last)s AND valid_to > %(first)s ORDER BY number",
        parameters=within,
    ).result_rows
    decisions = [Decision(t, (one, other), act == "accepted", *rest) for t, one, other, act, *rest in decided]
    tenants = [t.id for t in catalogue.tenants if any(map(t.alias_policy.applies, months))]
    if not tenants:
        return Evidence(decisions)
    seen = client.query(
        "SELECT tenant, one, other, min(first_month) AS first, max(last_month) AS last FROM identity_links"
        " WHERE tenant IN %(tenants)s GROUP BY tenant, one, other"
        " HAVING first <= %(last)s AND last >= %(first)s",
        parameters={**within, "tenants": tenants},
    ).result_rows
    return Evidence(decisions, [Seen(t, (one, other), *rest) for t, one, other, *rest in seen])


def links_in(
    month: date, catalogue: Catalogue, known: Evidence, pseudonyms: Callable[[], MonthlyPseudonyms]
) -> Links:
    """The catalogue's and those accepted; what a person has refused no policy applies. Pure.

    The keys are asked for only where the catalogue has names that hold in the month.
    """
    found = _of_catalogue(catalogue, month, pseudonyms)
    newest = {(d.tenant, d.link): d.accepted for d in known.decisions if covers(d.valid_from, d.valid_to, month)}
    for (tenant, pair), accepted in newest.items():
        if accepted:
            found.setdefault(tenant, set()).add(pair)
    applied = {tenant.id for tenant in catalogue.tenants if tenant.alias_policy.applies(month)}
    for one in known.seen:
        if one.tenant in applied and one.first <= month <= one.last and newest.get((one.tenant, one.link), True):
            found.setdefault(one.tenant, set()).add(one.link)
    return found


def _of_catalogue(catalogue: Catalogue, month: date, pseudonyms: Callable[[], MonthlyPseudonyms]) -> Links:
    valid = [alias for alias in catalogue.aliases if covers(*alias.validity, month)]
    if not valid:
        return {}
    hashed = pseudonyms().at(month)
    tenants = {tenant.id: tenant for tenant in catalogue.tenants}
    found: Links = {}
    for alias in valid:
        first, *others = [hashed.of(alias.tenant, tenants[alias.tenant].identity(name, month)) for name in alias.same]
        found.setdefault(alias.tenant, set()).update(link(first, other) for other in others if other != first)
    return found
