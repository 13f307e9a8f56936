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
from schemas.aliases import ExclusionsHit
from schemas.calendar import month_name
from stream_jobs.month_close.agreements import Tenants, contracts_in, covers_in
from stream_jobs.month_close.allowances import Allowance, allowances_in
from stream_jobs.month_close.erased_names import Erased, nobody
from stream_jobs.month_close.portions import MOST_ROWS, Portion, portions
from stream_jobs.month_close.rows import Rows
from stream_jobs.month_close.versions import Versions

Cell = tuple[str, str]
"""Tenant and SKU."""


@dataclass(frozen=True)
class Scope:
    """The rows of an agreement, and what of the catalogue their counting depends on.

    `rows` has how many rows there are of each tenant and SKU, `units` what a subject of each of these SKUs is (CSP-22),
    `allowances` who of them is left out; `exclusions_hit` says whether with all names or one.
    """

    id: str
    time_zone: str
    tenants: Tenants
    rows: Mapping[Cell, int]
    units: Mapping[str, str]
    allowances: tuple[Allowance, ...] = ()
    exclusions_hit: ExclusionsHit = "component"

    @property
    def empty(self) -> bool:
        return not self.rows

    @property
    def condition(self) -> str:
        """Of SQL, over the columns tenant and sku; with `parameters`. Only where it is not empty."""
        if not self.tenants.named:
            return "sku IN %(skus)s"
        return f"sku IN %(skus)s AND tenant {'NOT IN' if self.tenants.others else 'IN'} %(tenants)s"

    def apart(self, rows: Rows) -> list[tuple[Rows, Scope]]:
        """By tenants: those that no entry is for and that have no aliases, and the others, with the rows to read.

        So a subject is looked up only where something could be said of it.
        """
        judged = frozenset(entry.tenant for entry in self.allowances)
        linked = frozenset(tenant for tenant, _ in self.rows if tenant in rows.aliases)
        special = judged | linked
        if not special:
            return [(rows.unlinked(), self)]
        named = self.tenants.named | special if self.tenants.others else self.tenants.named - special
        found = [(rows.unlinked(), self._of(Tenants(named, self.tenants.others)))]
        found += [(rows.unlinked(), self._of(Tenants(judged - linked)))]
        found += [(rows, self._of(Tenants(tenants))) for tenants in (judged & linked, linked - judged)]
        return [(read, scope) for read, scope in found if not scope.empty]

    def pieces(self, rows: Rows, *, most: int = MOST_ROWS, sliced: bool = False) -> list[tuple[Rows, Scope, Portion]]:
        """Those parts in portions: what one statement each reads. Every row is in one."""
        return [
            (read, part, portion)
            for read, part in self.apart(rows) for portion in portions(part.rows, most=most, sliced=sliced)
        ]  # fmt: skip

    def _of(self, tenants: Tenants) -> Scope:
        rows = {cell: n for cell, n in self.rows.items() if cell[0] in tenants}
        entries = tuple(entry for entry in self.allowances if entry.tenant in tenants)
        return replace(self, tenants=tenants, rows=rows, allowances=entries)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"skus": sorted(self.units), "tenants": sorted(self.tenants.named)}


def scopes_of(
    versions: Versions, version: int, month: date, rows: Mapping[Cell, int], closed: Iterable[str],
    erased: Erased = nobody,
) -> list[Scope]:  # fmt: skip
    """That of every agreement that has to report the month, in order of their ids.

    Those are the agreements of the catalogue's `version`, the owners of the `rows` (by tenant and SKU, how
    many the month has), and the agreements that `closed` the month before: if their rows went elsewhere, they owe a
    revision without them. `erased` finds whom entries name though the name is stored no longer.
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
                _named(allowances_in(versions.at(version), programme, month, {t for t, _ in cells}), month, erased),
                versions.at(version).exclusions_hit,
            )
        )  # fmt: skip
    return found


def _named(entries: Iterable[Allowance], month: date, erased: Erased) -> tuple[Allowance, ...]:
    return tuple(
        entry if entry.name is None else replace(entry, subject=erased(entry.tenant, entry.name, month))
        for entry in entries
    )
