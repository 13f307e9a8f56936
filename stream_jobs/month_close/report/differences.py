"""What a correction changes, line by line."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.report import Difference, Line


def differences(before: Iterable[Line], after: Iterable[Line]) -> list[Difference]:
    """Every tenant's SKU that is reported otherwise, in order; those without a tenant (a shortfall's) last.

    A line that only one of the two has counts as nothing in the other, so lines of zero make no difference.
    """
    told = {(line.tenant, line.sku): line.reported for line in before}
    now = {(line.tenant, line.sku): line.reported for line in after}
    cells = sorted(told.keys() | now.keys(), key=lambda cell: (not cell[0], cell))
    return [
        Difference(tenant=tenant, sku=sku, before=told.get((tenant, sku), 0), after=now.get((tenant, sku), 0))
        for tenant, sku in cells
        if told.get((tenant, sku), 0) != now.get((tenant, sku), 0)
    ]
