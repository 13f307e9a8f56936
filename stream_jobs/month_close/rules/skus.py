"""Rules of what a SKU is: its unit, channel, licence model, segment. Judged for the SKUs that the report has lines of.

What they find is a fault of the catalogue, so the cure is there: mend it, apply it, close the month again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from schemas.catalogue import Sku
from schemas.report import Finding
from schemas.rules import ChannelRule, LicenceModelRule, Rule, SegmentRule, UnitRule
from stream_jobs.month_close.rules.numbers import Numbers, Verdict, cite, of_kind

SkuRule = TypeVar("SkuRule", UnitRule, ChannelRule, LicenceModelRule, SegmentRule)

_CURE = "mend the SKU in the catalogue, apply it and close the month again"


def unit(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    """CSP-22, CSP-23."""

    def fault(rule: UnitRule, sku: Sku) -> str | None:
        if sku.family not in rule.families or sku.unit == rule.unit:
            return None
        return f"is counted by {sku.unit}s, but family {sku.family} is reported by {rule.unit}s: {_CURE}"

    return Verdict(_each(of_kind(rules, UnitRule), numbers, fault))


def channel(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    """CSP-2."""
    entries, own = of_kind(rules, ChannelRule), numbers.agreement.channel

    def fault(_: ChannelRule, sku: Sku) -> str | None:
        if sku.channel == own:
            return None
        return f"is sold in channel {sku.channel}, but {numbers.agreement.id} reports {own}: {_CURE}"

    silent = [
        Finding(
            id="channel", kind="channel", severity=rule.severity, rule=cite(rule),
            text=f"{numbers.agreement.id} is of channel {own}, and only {' and '.join(rule.channels)} reports its use: "
            "mend the agreement's channel, or end the agreement.",
        )
        for rule in entries if own not in rule.channels
    ]  # fmt: skip
    return Verdict([*silent, *_each(entries, numbers, fault)])


def licence_model(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    """CSP-24."""

    def fault(rule: LicenceModelRule, sku: Sku) -> str | None:
        if sku.licensing not in rule.forbidden:
            return None
        return f"is licensed {sku.licensing}, which may not be reported: use a SKU of another licence model, or {_CURE}"

    return Verdict(_each(of_kind(rules, LicenceModelRule), numbers, fault))


def segment(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    """CSP-7."""

    def fault(rule: SegmentRule, sku: Sku) -> str | None:
        if sku.market not in rule.segments or sku.deployment == rule.deployment:
            return None
        return f"is {sku.market} and {sku.deployment}, but {sku.market} exists {rule.deployment} only: {_CURE}"

    return Verdict(_each(of_kind(rules, SegmentRule), numbers, fault))


def _each(
    entries: Sequence[SkuRule], numbers: Numbers, fault: Callable[[SkuRule, Sku], str | None]
) -> list[Finding]:
    return [
        Finding(
            id=f"{rule.kind}:{sku.id}", kind=rule.kind, severity=rule.severity, text=f"SKU {sku.id} {what}.",
            rule=cite(rule), sku=sku.id, family=sku.family,
        )
        for rule in entries for sku in numbers.used if (what := fault(rule, sku))
    ]  # fmt: skip
