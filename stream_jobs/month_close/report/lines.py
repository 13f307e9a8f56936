"""The lines of tenants and SKUs: what a seal counted and left out, and the adjustments of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from infra.errors import CheckFailed
from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.catalogue import Catalogue, Sku
from schemas.close import Seal
from schemas.report import Adjustment, Line
from stream_jobs.month_close.agreements import covers_in
from stream_jobs.month_close.rules.numbers import Unapplied, line_of

Cell = tuple[str, str]
"""Tenant and SKU."""


def cell_lines(
    catalogue: Catalogue, agreement: Agreement, month: date, skus: Mapping[str, Sku], seal: Seal,
    adjustments: Sequence[Adjustment],
) -> tuple[list[Line], list[Unapplied]]:  # fmt: skip
    """A line for each cell that the seal knows or an adjustment makes, in order; and the sums that fit no cell.

    The adjustments of a cell are summed; where they cancel out, they make no line. Raises CheckFailed when the seal
    has a SKU that is unknown.
    """
    counted = {(c.tenant, c.sku): c.active_users for c in seal.counts}
    left_out: Counter[tuple[str, str, str]] = Counter()
    for part in seal.left_out:
        left_out[part.tenant, part.sku, part.kind] += part.subjects
    cells = counted.keys() | {(tenant, sku) for tenant, sku, _ in left_out}
    adjusted: Counter[Cell] = Counter()
    for row in adjustments:
        adjusted[row.tenant, row.sku] += row.quantity
    names = {tenant.id: tenant.name for tenant in catalogue.tenants}
    unapplied = []
    for (tenant, sku), quantity in sorted(adjusted.items()):
        reason = "" if (tenant, sku) in cells else _misfit(catalogue, agreement, month, skus, names, tenant, sku)
        if reason and quantity:
            unapplied.append(Unapplied(tenant, sku, quantity, reason))
        elif quantity:
            cells = cells | {(tenant, sku)}
    lines = []
    for tenant, sku in sorted(cells):
        excluded, trial, free = (left_out[tenant, sku, kind] for kind in ("excluded", "trial", "free"))
        paid, change = counted.get((tenant, sku), 0), adjusted[tenant, sku]
        lines.append(
            line_of(
                _known(skus, sku, seal), tenant, names.get(tenant, tenant), measured=paid + excluded + trial + free,
                excluded=excluded, trial=trial, free=free, adjusted=change, reported=paid + change,
            )
        )  # fmt: skip
    return lines, unapplied


def in_order(lines: Iterable[Line]) -> list[Line]:
    """By tenant and SKU; those without a tenant last."""
    return sorted(lines, key=lambda line: (not line.tenant, line.tenant, line.sku))


def _misfit(
    catalogue: Catalogue, agreement: Agreement, month: date, skus: Mapping[str, Sku], names: Mapping[str, str],
    tenant: str, sku: str,
) -> str:  # fmt: skip
    """Why an adjustment cannot stand in a line of this agreement; empty when it can."""
    if sku not in skus:
        return f"the catalogue has no SKU {sku}"
    if skus[sku].programme != agreement.programme:
        return f"SKU {sku} is of programme {skus[sku].programme}, not of {agreement.programme}"
    if tenant not in names:
        return f"the catalogue has no tenant {tenant}"
    covered = covers_in(catalogue, agreement.programme, month).get(agreement.id)
    if covered is None or tenant not in covered:
        return f"tenant {tenant} is not covered by {agreement.id} in {month_name(month)}"
    return ""


def _known(skus: Mapping[str, Sku], sku: str, seal: Seal) -> Sku:
    if sku not in skus:
        raise CheckFailed(
            f"{seal.agreement} {month_name(seal.month)} revision {seal.revision} counts SKU {sku}, which catalogue "
            f"version {seal.catalogue_version} and those before do not know: look at `rollcall catalogue history`"
        )
    return skus[sku]
