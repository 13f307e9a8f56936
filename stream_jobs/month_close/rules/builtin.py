"""Findings that need no rule entry: numbers that cannot be reported as they are, whatever the programme says."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.calendar import month_name
from schemas.report import Finding
from schemas.rules import Rule
from stream_jobs.month_close.agreements import valid_in
from stream_jobs.month_close.rules.numbers import Numbers, Verdict, several


def unadjusted(_: Sequence[Rule], numbers: Numbers) -> Verdict:
    """Adjustments that no line can hold. They are in the report's list, and in none of its quantities."""
    return Verdict(
        [
            Finding(
                id=f"unadjusted:{tenant}:{sku}", kind="unadjusted", severity="blocking", tenant=tenant, sku=sku,
                text=f"an adjustment of {quantity:+d} for {tenant or 'no tenant'} and SKU {sku} is in no line, since "
                f"{reason}: take it back with one of {-quantity:+d}, and make it where it belongs.",
            )
            for tenant, sku, quantity, reason in numbers.unapplied
        ]
    )  # fmt: skip


def adjusted_unused(_: Sequence[Rule], numbers: Numbers) -> Verdict:
    """Lines that only an adjustment made."""
    return Verdict(
        [
            Finding(
                id=f"adjusted_unused:{line.tenant}:{line.sku}", kind="adjusted_unused", severity="warning",
                tenant=line.tenant, sku=line.sku, family=line.family,
                text=f"{line.adjusted} of SKU {line.sku} are reported for {line.tenant} by adjustment alone, nobody "
                f"logged in to it in {month_name(numbers.month)}: see that tenant and SKU are the right ones.",
            )
            for line in numbers.lines if line.adjusted > 0 and not line.measured
        ]
    )  # fmt: skip


def negative(_: Sequence[Rule], numbers: Numbers) -> Verdict:
    return Verdict(
        [
            Finding(
                id=f"negative:{line.tenant}:{line.sku}", kind="negative", severity="blocking", tenant=line.tenant,
                sku=line.sku, family=line.family,
                text=f"{line.reported} of SKU {line.sku} would be reported for {line.tenant}: adjustments of "
                f"{line.adjusted:+d} take more than the {line.reported - line.adjusted} that count; add one of "
                f"{-line.reported:+d} or more.",
            )
            for line in numbers.lines if line.reported < 0
        ]
    )  # fmt: skip


def uncovered(_: Sequence[Rule], numbers: Numbers) -> Verdict:
    """Use that goes under the programme's own id although the programme has agreements."""
    own, counted = numbers.agreement, [line for line in numbers.lines if line.measured]
    if own.id != own.programme or not counted or any(a.id == own.id for a in numbers.catalogue.agreements):
        return Verdict()
    others = [a.id for a in numbers.catalogue.agreements if a.programme == own.programme and valid_in(a, numbers.month)]
    if not others:
        return Verdict()
    tenants = sorted({line.tenant for line in counted})
    shown = ", ".join(tenants[:5]) + (f" and {len(tenants) - 5} more" if len(tenants) > 5 else "")
    finding = Finding(
        id="uncovered", kind="uncovered", severity="blocking",
        text=f"{several(sum(line.measured for line in counted), 'use')} by {several(len(tenants), 'tenant')} "
        f"({shown}) {'is' if len(tenants) == 1 else 'are'} under no agreement of {own.programme} "
        f"({', '.join(others)}): name them under an agreement's tenants, apply the catalogue and close "
        "the month again.",
    )  # fmt: skip
    return Verdict([finding])
