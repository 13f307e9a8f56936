"""Which rows of a month each agreement counts. Law: every row belongs to exactly one agreement.

A SKU belongs to the programme that the newest catalogue version in force gives it. A row whose SKU that version no
longer has belongs to the programme of the newest earlier version that has it: a SKU taken out of the catalogue was
sold until then, and its users are still owed. Within the programme the tenant decides (agreements.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from infra.errors import CheckFailed
from schemas.calendar import month_name
from stream_jobs.month_close.agreements import Tenants, contracts_in, covers_in
from stream_jobs.month_close.versions import Versions

Cell = tuple[str, str]
"""Tenant and SKU."""


@dataclass(frozen=True)
class Scope:
    """The rows of an agreement, and what of the catalogue their counting depends on.

    `units` has every SKU that the agreement has rows of, and what a subject of it is (CSP-22).
    """

    id: str
    time_zone: str
    units: Mapping[str, str]
    tenants: Tenants

    @property
    def empty(self) -> bool:
        return not self.units or not (self.tenants.named or self.tenants.others)

    @property
    def condition(self) -> str:
        """Of SQL, over the columns tenant and sku; with `parameters`. Only where it is not empty."""
        if not self.tenants.named:
            return "sku IN %(skus)s"
        return f"sku IN %(skus)s AND tenant {'NOT IN' if self.tenants.others else 'IN'} %(tenants)s"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"skus": sorted(self.units), "tenants": sorted(self.tenants.named)}


def scopes_of(
    versions: Versions, version: int, month: date, cells: Collection[Cell], closed: Iterable[str]
) -> list[Scope]:
    """That of every agreement that has to report the month, in order of their ids.

    Those are the agreements of the catalogue's `version`, the owners of the `cells` that the month has logins of,
    and the agreements that `closed` the month before: if their cells went elsewhere, they owe a revision without them.
    Raises CheckFailed when a SKU or an agreement is in no version.
    """
    owned = versions.skus({sku for _, sku in cells}, version)
    covers: dict[str, dict[str, Tenants]] = {}

    def cover(programme: str) -> dict[str, Tenants]:
        if programme not in covers:
            covers[programme] = covers_in(versions.with_programme(programme, version), programme, month)
        return covers[programme]

    units: dict[str, dict[str, dict[str, str]]] = {}  # by agreement, programme and SKU
    for tenant, sku in cells:
        programme = owned[sku].programme
        owner = next(id for id, tenants in cover(programme).items() if tenant in tenants)
        units.setdefault(owner, {}).setdefault(programme, {})[sku] = owned[sku].unit
    ids = {*units, *closed, *(a.id for a in contracts_in(versions.at(version), month))}
    found = []
    for id in sorted(ids):
        held = units.get(id, {})
        if len(held) > 1:
            raise CheckFailed(
                f"agreement {id} has logins of {month_name(month)} in the programmes {' and '.join(sorted(held))}, "
                "since it went from one to the other: give it another id there, then `rollcall catalogue apply`"
            )
        programme = next(iter(held), versions.contract(id, version, month).programme)
        zone = versions.with_programme(programme, version).programmes[programme].time_zone
        found.append(Scope(id, zone, held.get(programme, {}), cover(programme).get(id, Tenants(frozenset()))))
    return found
