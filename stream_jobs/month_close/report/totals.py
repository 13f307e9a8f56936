"""Sums of lines: per SKU, per family and deployment, over all. Each adds up because every line does."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from schemas.report import FamilyTotal, Line, Quantities, SkuTotal

_PARTS = tuple(Quantities.model_fields)


def sku_totals(lines: Iterable[Line]) -> list[SkuTotal]:
    """In order of the SKUs."""
    found = []
    for sku, group in groupby(sorted(lines, key=lambda line: line.sku), lambda line: line.sku):
        held = list(group)
        one = held[0]
        found.append(
            SkuTotal(
                sku=sku, sku_name=one.sku_name, family=one.family, unit=one.unit, tier=one.tier, **_sums(held)
            )
        )  # fmt: skip
    return found


def family_totals(lines: Iterable[Line]) -> list[FamilyTotal]:
    """In order of family, then deployment."""

    def key(line: Line) -> tuple[str, str]:
        return line.family, line.deployment

    found = []
    for _, group in groupby(sorted(lines, key=key), key):
        held = list(group)
        found.append(FamilyTotal(family=held[0].family, deployment=held[0].deployment, **_sums(held)))
    return found


def total(lines: Iterable[Line]) -> Quantities:
    return Quantities(**_sums(list(lines)))


def _sums(lines: list[Line]) -> dict[str, int]:
    return {part: sum(getattr(line, part) for line in lines) for part in _PARTS}
