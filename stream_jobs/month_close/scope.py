"""Which rows of a month each agreement counts. Law: every row belongs to exactly one agreement.

A SKU belongs to the programme that the newest catalogue version in force gives it. A row whose SKU that version no
longer has belongs to the programme of the newest earlier version that has it: a SKU taken out of the catalogue was
sold until then, and its users are still owed. Within the programme the tenant decides (agreements.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from infra.errors import CheckFailed
from schemas.calendar import month_name
from stream_jobs.month_close.agreements import Tenants, contracts_in, covers_in
from stream_jobs.month_close.allowances import Allowance, allowances_in
from stream_jobs.month_close.portions import MOST_ROWS, Portion, portions
from stream_jobs.month_close.versions import Versions

Cell = tuple[str, str]
"""Tenant and SKU."""


@dataclass(frozen=True)
class Scope:
    """The rows of an agreement, and what of the catalogue their counting depends on.

    `rows` has how many rows there are of each tenant and SKU, `units` what a subject of each of these SKUs is (CSP-22),
    `allowances` who of them is left out.
    """

    id: str
    time_zone: str
    tenants: Tenants
    rows: Mapping[Cell, int]
    units: Mapping[str, str]
    allowances: tuple[Allowance, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.rows

    @property
    def condition(self) -> str:
        """Of SQL, over the columns tenant and sku; with `parameters`. Only where it is not empty."""
        if not self.tenants.named:
            return "sku IN %(skus)s"
        return f"sku IN %(skus)s AND tenant {'NOT IN' if self.tenants.others else 'IN'} %(tenants)s"

    def by_allowances(self) -> list[Scope]:
        """The tenants that no entry is for, and those that some are for: only of these each subject is judged."""
        judged = frozenset(entry.tenant for entry in self.allowances)
        if not judged:
            return [self]
        named = self.tenants.named | judged if self.tenants.others else self.tenants.named - judged
        found = [
            replace(self, tenants=Tenants(named, self.tenants.others), allowances=()),
            replace(self, tenants=Tenants(judged)),
        ]
        held = [replace(s, rows={cell: n for cell, n in s.rows.items() if cell[0] in s.tenants}) for s in found]
        return [scope for scope in held if not scope.empty]

    def pieces(self, *, most: int = MOST_ROWS, sliced: bool = False) -> list[tuple[Scope, Portion]]:
        """Those parts in portions: what one statement each reads. Every row is in one."""
        return [
            (part, portion)
            for part in self.by_allowances() for portion in portions(part.rows, most=most, sliced=sliced)
        ]  # fmt: skip

    @property
    def parameters(self) -> dict[str, Any]:
        return {"skus": sorted(self.units), "tenants": sorted(self.tenants.named)}


def scopes_of(
    versions: Versions, version: int, month: date, rows: Mapping[Cell, int], closed: Iterable[str]
) -> list[Scope]:
    """That of every agreement that has to report the month, in order of their ids.

    Those are the agreements of the catalogue's `version`, the owners of the `rows` (by tenant and SKU, how
    many the month has), and the agreements that `closed` the month before: if their rows went elsewhere, they owe a
    revision without them.
    Raises CheckFailed when a SKU or an agreement is in no version.
    """
    owned = versions.skus({sku for _, sku in rows}, version)
    covers: dict[str, dict[str, Tenants]] = {}

    def cover(programme: str) -> dict[str, Tenants]:
        if programme not in covers:
            covers[programme] = covers_in(versions.with_programme(programme, version), programme, month)
        return covers[programme]

    held: dict[str, dict[str, dict[Cell, int]]] = {}  # by agreement and programme
    for (tenant, sku), count in rows.items():
        programme = owned[sku].programme
        owner = next(id for id, tenants in cover(programme).items() if tenant in tenants)
        held.setdefault(owner, {}).setdefault(programme, {})[tenant, sku] = count
    ids = {*held, *closed, *(a.id for a in contracts_in(versions.at(version), month))}
    found = []
    for id in sorted(ids):
        own = held.get(id, {})
        if len(own) > 1:
            raise CheckFailed(
                f"agreement {id} has logins of {month_name(month)} in the programmes {' and '.join(sorted(own))}, "
                "since it went from one to the other: give it another id there, then `rollcall catalogue apply`"
            )
        programme = next(iter(own), None) or versions.contract(id, version, month).programme
        cells = own.get(programme, {})
        found.append(
            Scope(
                id, versions.with_programme(programme, version).programmes[programme].time_zone,
                cover(programme).get(id, Tenants(frozenset())), cells, {sku: owned[sku].unit for _, sku in cells},
                allowances_in(versions.at(version), programme, month, {tenant for tenant, _ in cells}),
            )
        )  # fmt: skip
    return found
