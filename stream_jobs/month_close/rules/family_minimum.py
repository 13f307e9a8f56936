"""The least that must be reported of a family, over all tenants of the agreement (CSP-25).

The rule speaks of users, so only SKUs counted by users are held to it, and of what is reported: after exclusions,
trials, free users and adjustments. A family of which nothing is reported is unused, whoever logged in.

It speaks of the whole partner, and a report knows its own agreement's numbers. Where the partner has another agreement
of the programme, the shortfall is only flagged, whatever the action: a line in each would be paid for twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from schemas.catalogue import Sku
from schemas.report import Finding
from schemas.rules import FamilyMinimumRule, Rule
from stream_jobs.month_close.agreements import valid_in
from stream_jobs.month_close.rules.numbers import Family, Numbers, Verdict, cite, family_of, line_of, of_kind, several


def judge(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    entries = of_kind(rules, FamilyMinimumRule)
    verdict = Verdict()
    for family in sorted({family_of(s) for s in (*numbers.used, *numbers.sold) if s.unit == "user"}):
        rule = _entry(entries, family)
        if rule is not None:
            _judge(rule, family, numbers, verdict)
    return verdict


def _entry(entries: Sequence[FamilyMinimumRule], family: Family) -> FamilyMinimumRule | None:
    """That which names the family goes before one of every family."""
    fitting = [
        rule for rule in entries
        if rule.deployment == family.deployment and (not rule.families or family.name in rule.families)
    ]  # fmt: skip
    return min(fitting, key=lambda rule: not rule.families, default=None)


def _judge(rule: FamilyMinimumRule, family: Family, numbers: Numbers, verdict: Verdict) -> None:
    by_sku: Counter[str] = Counter()
    for line in numbers.lines:
        if family_of(line) == family and line.unit == "user":
            by_sku[line.sku] += line.reported
    reported = by_sku.total()
    if reported >= rule.quantity or reported < 0 or (reported == 0 and not rule.when_unused):
        return
    missing = rule.quantity - reported
    what = (
        f"{several(reported, 'user')} of family {family.name} {'is' if reported == 1 else 'are'} reported over all "
        f"tenants, {missing} fewer than the {rule.quantity} that must be"
    )
    others = _others(numbers)
    sku, severity = None, rule.severity
    if rule.action == "flag":
        cure = (
            f"agree with {numbers.agreement.distributor.name} on how the {missing} are billed, or set the rule's "
            "action to add_line"
        )
    elif others:
        cure = (
            f"no line was added, since {numbers.agreement.partner.name} reports in {' and '.join(others)} too: add "
            "those users up, and adjust one of the reports if the minimum is not reached"
        )
    else:
        sku = _line_sku(rule, family, numbers, by_sku)
        if sku is None:
            wanted = rule.line_skus.get(family.name)
            cure = (
                f"no line was added, since {wanted} is no SKU of that family that is counted by users" if wanted else
                "no line was added, since the family has no SKU to put it under"
            ) + "; name one under the rule's line_skus"  # fmt: skip
        else:
            severity = "info"
            cure = f"a shortfall line of {missing} under SKU {sku.id} was added"
            verdict.lines.append(line_of(sku, measured=0, shortfall=missing, reported=missing, rule=cite(rule)))
    verdict.findings.append(
        Finding(
            id=f"family_minimum:{family}", kind="family_minimum", severity=severity, text=f"{what}: {cure}.",
            rule=cite(rule), family=family.name, sku=sku.id if sku else "",
        )
    )  # fmt: skip


def _line_sku(rule: FamilyMinimumRule, family: Family, numbers: Numbers, by_sku: Counter[str]) -> Sku | None:
    """The rule's, or the family's with the largest reported quantity, or its first that is sold; by id where equal."""
    wanted = rule.line_skus.get(family.name)
    if wanted is not None:
        sku = numbers.skus.get(wanted)
        return sku if sku is not None and family_of(sku) == family and sku.unit == "user" else None
    if by_sku:
        return numbers.skus[min(by_sku, key=lambda id: (-by_sku[id], id))]
    return next((sku for sku in numbers.sold if family_of(sku) == family and sku.unit == "user"), None)


def _others(numbers: Numbers) -> list[str]:
    """Other agreements of the same partner in the programme that are valid in the month."""
    own = numbers.agreement
    return [
        a.id for a in numbers.catalogue.agreements
        if a.id != own.id and (a.programme, a.partner.name) == (own.programme, own.partner.name)
        and valid_in(a, numbers.month)
    ]  # fmt: skip
