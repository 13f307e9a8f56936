"""Whether the SKUs in use are of the tier that their reported quantity asks for (CSP-7).

That tier is the one with the greatest break at or below the quantity: of the family's SKUs with numbered tiers, over
all tenants, or of each SKU alone. A shortfall that is reported counts too. Below the least break nothing is known, so
only tiers that begin later are found.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.catalogue import Sku
from schemas.report import Finding
from schemas.rules import Rule, TierRule
from stream_jobs.month_close.rules.numbers import Family, Numbers, Verdict, cite, family_of, of_kind


def judge(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    entries = of_kind(rules, TierRule)
    quantity: dict[str, int] = {}
    for line in numbers.lines:
        quantity[line.sku] = quantity.get(line.sku, 0) + line.reported
    used = [sku for sku in numbers.used if isinstance(sku.tier, int) and quantity[sku.id] > 0]
    findings = []
    for family in sorted({family_of(sku) for sku in used}):
        rule = _entry(entries, family)
        if rule is None:
            continue
        held = [sku for sku in used if family_of(sku) == family]
        together = sum(quantity[sku.id] for sku in held)
        for sku in held:
            many = together if rule.per == "family" else quantity[sku.id]
            if finding := _finding(rule, sku, many, numbers):
                findings.append(finding)
    return Verdict(findings)


def tier_at(breaks: dict[int, int], quantity: int) -> int | None:
    """The tier with the greatest break at or below the quantity; None below them all."""
    reached = {tier: least for tier, least in breaks.items() if least <= quantity}
    return max(reached, key=lambda tier: (reached[tier], tier), default=None)


def _entry(entries: Sequence[TierRule], family: Family) -> TierRule | None:
    """That which names the family goes before one of every family."""
    fitting = [rule for rule in entries if not rule.families or family.name in rule.families]
    return min(fitting, key=lambda rule: not rule.families, default=None)


def _finding(rule: TierRule, sku: Sku, quantity: int, numbers: Numbers) -> Finding | None:
    right = tier_at(rule.breaks, quantity)
    if right == sku.tier or (right is None and sku.tier not in rule.breaks):
        return None
    over = f"of family {sku.family}" if rule.per == "family" else "of it"
    if right is None:
        asks = f"which begins at {rule.breaks[int(sku.tier or 0)]}"
    else:
        asks = f"and tier {right} applies from {rule.breaks[right]} on"
    instead = [
        s.id for s in numbers.sold if (family_of(s), s.unit, s.tier) == (family_of(sku), sku.unit, right)
    ] if right is not None else []  # fmt: skip
    cure = f"ask {numbers.agreement.distributor.name} from when on to report another tier"
    if instead:
        cure = f"report it under {' or '.join(instead)}, or {cure}"
    return Finding(
        id=f"tier:{sku.id}", kind="tier", severity=rule.severity, rule=cite(rule), sku=sku.id, family=sku.family,
        text=f"SKU {sku.id} is of tier {sku.tier}, but {quantity} {over} are reported, {asks}: {cure}.",
    )  # fmt: skip
