"""What rules judge, and what they say: the numbers of one report, and a verdict of findings and lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeVar

from schemas.agreement import Agreement
from schemas.calendar import next_month
from schemas.catalogue import Catalogue, Sku
from schemas.parts import Deployment
from schemas.report import Due, Finding, Line, Report, RuleCited, SetAside, SourceSeen
from schemas.rules import Rule

RuleKind = TypeVar("RuleKind")


class Unapplied(NamedTuple):
    """The sum of the adjustments of a tenant's SKU that stands in no line, and why: a clause, without full stop."""

    tenant: str
    sku: str
    quantity: int
    reason: str


class Family(NamedTuple):
    """A product family in one deployment: what minimums and tiers are judged over (CSP-25)."""

    name: str
    deployment: Deployment

    def __str__(self) -> str:
        """As it stands in findings' ids: the deployment only where it is not the cloud."""
        return self.name if self.deployment == "cloud" else f"{self.name}:{self.deployment}"


@dataclass(frozen=True)
class Numbers:
    """`lines` so far; `skus` every SKU that is known, by id; `history` reports of earlier months, ascending."""

    catalogue: Catalogue
    agreement: Agreement
    month: date
    due: Due
    skus: dict[str, Sku]
    lines: tuple[Line, ...]
    history: tuple[Report, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    sources: tuple[SourceSeen, ...] = ()
    arriving: int = 0
    unapplied: tuple[Unapplied, ...] = ()

    @property
    def reported(self) -> int:
        return sum(line.reported for line in self.lines)

    @property
    def used(self) -> list[Sku]:
        """The SKUs of the lines, in order, each once."""
        return [self.skus[id] for id in sorted({line.sku for line in self.lines})]

    @property
    def sold(self) -> list[Sku]:
        """The SKUs of the agreement's programme and channel that are valid on any day of the month, in order."""
        end = next_month(self.month)
        return sorted(
            (
                sku for sku in self.catalogue.skus
                if (sku.programme, sku.channel) == (self.agreement.programme, self.agreement.channel)
                and (sku.valid_from is None or sku.valid_from < end)
                and (sku.valid_to is None or sku.valid_to > self.month)
            ),
            key=lambda sku: sku.id,
        )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    findings: list[Finding] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


def line_of(
    sku: Sku, tenant: str = "", tenant_name: str = "", *, rule: RuleCited | None = None, **quantities: int
) -> Line:
    """The SKU's line with these quantities; of no tenant unless one is given."""
    return Line(
        tenant=tenant, tenant_name=tenant_name, sku=sku.id, sku_name=sku.name, family=sku.family,
        deployment=sku.deployment, unit=sku.unit, tier="" if sku.tier is None else str(sku.tier), rule=rule,
        **quantities,
    )  # fmt: skip


def family_of(part: Line | Sku) -> Family:
    return Family(part.family, part.deployment)


def of_kind(rules: Sequence[Rule], kind: type[RuleKind]) -> list[RuleKind]:
    """The entries of one kind, those of the programme itself before those of every programme, else as they stand."""
    found = [rule for rule in rules if isinstance(rule, kind)]
    return sorted(found, key=lambda rule: rule.programme is None)  # type: ignore[attr-defined]


def cite(rule: Rule) -> RuleCited:
    return RuleCited(id=rule.id, source=rule.source)


def several(number: int, one: str, many: str | None = None) -> str:
    """`1 user`, `2 users`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
