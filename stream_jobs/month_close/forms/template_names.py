"""What a distributor's form can ask for: the names of the placeholders, and what each stands for. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from schemas.agreement import Language, Party
from schemas.calendar import month_name, next_month, zone_named
from schemas.report import Quantities, Report, Standing
from stream_jobs.month_close.forms.page import QUANTITIES
from stream_jobs.month_close.forms.words import Words, words

Value = str | int | date | None


@dataclass(frozen=True)
class Context:
    report: Report
    w: Words
    standing: Standing

    @classmethod
    def of(cls, report: Report, language: Language, standing: Standing) -> Context:
        return cls(report, words(language), standing)


@dataclass(frozen=True)
class Group:
    """What a repeated row is repeated for. `fields` are asked with the item and its number, from 1."""

    items: Callable[[Report], Sequence[Any]]
    fields: Mapping[str, Callable[[Context, Any, int], Value]]


def _moment_day(text: str, zone: str) -> date | None:
    return datetime.fromisoformat(text).astimezone(zone_named(zone)).date() if text else None


def _quantity_fields() -> dict[str, Callable[[Context, Any, int], Value]]:
    return {name: (lambda c, item, i, name=name: getattr(item, name)) for name in QUANTITIES}  # type: ignore[misc]


def _party(prefix: str, party: Callable[[Report], Party]) -> dict[str, Callable[[Context], Value]]:
    return {
        f"{prefix}.name": lambda c: party(c.report).name,
        f"{prefix}.number": lambda c: party(c.report).number,
        f"{prefix}.address": lambda c: "\n".join(party(c.report).address),
    }


def _own(name: str) -> Callable[[Context, Any, int], Value]:
    return lambda c, item, i: getattr(item, name)


def _number(c: Context, item: Any, i: int) -> Value:
    return i


def _deployment(c: Context, item: Any, i: int) -> Value:
    return c.w(f"deployment.{item.deployment}")


def _unit(c: Context, item: Any, i: int) -> Value:
    return c.w(f"unit.{item.unit}")


SCALARS: Mapping[str, Callable[[Context], Value]] = {
    "agreement": lambda c: c.report.agreement,
    "programme": lambda c: c.report.programme,
    "channel": lambda c: c.report.channel,
    "month": lambda c: c.w.month(c.report.month),
    "month.code": lambda c: month_name(c.report.month),
    "month.first_day": lambda c: c.report.month,
    "month.last_day": lambda c: next_month(c.report.month) - timedelta(days=1),
    "purchase_order": lambda c: c.report.purchase_order,
    "contract_date": lambda c: c.report.contract_date,
    "due": lambda c: c.report.due.day,
    "time_zone": lambda c: c.report.time_zone,
    "revision": lambda c: c.report.revision,
    "draft": lambda c: c.report.draft,
    "state": lambda c: c.w(f"state.{c.standing.state}"),
    "mark": lambda c: c.w.mark(c.standing.state),
    "zero": lambda c: c.w("sentence.zero", month=c.w.month(c.report.month)) if c.report.zero else None,
    "correction.of_revision": lambda c: c.report.correction.of_revision if c.report.correction else None,
    "correction.reason": lambda c: c.report.correction.reason if c.report.correction else None,
    "prepared_by": lambda c: c.standing.prepared_by,
    "prepared_on": lambda c: _moment_day(c.standing.prepared_at, c.report.time_zone),
    "approved_by": lambda c: c.standing.approved_by,
    "approved_on": lambda c: _moment_day(c.standing.approved_at, c.report.time_zone),
    "seal.digest": lambda c: c.report.seal.digest,
    **_party("partner", lambda r: r.partner),
    **_party("distributor", lambda r: r.distributor),
    **{f"total.{name}": (lambda c, name=name: getattr(c.report.total, name)) for name in QUANTITIES},  # type: ignore[misc]
}
"""In a cell by itself a number or day is one that can be calculated with."""

GROUPS: Mapping[str, Group] = {
    "skus": Group(lambda r: r.skus, {
        "number": _number, "code": _own("sku"), "name": _own("sku_name"), "family": _own("family"), "unit": _unit,
        "tier": _own("tier"), **_quantity_fields(),
    }),
    "families": Group(lambda r: r.families, {
        "number": _number, "name": _own("family"), "deployment": _deployment, **_quantity_fields(),
    }),
    "lines": Group(lambda r: r.lines, {
        "number": _number, "tenant": _own("tenant"), "tenant_name": _own("tenant_name"), "sku": _own("sku"),
        "name": _own("sku_name"), "family": _own("family"), "deployment": _deployment, "unit": _unit,
        "tier": _own("tier"), "rule": lambda c, line, i: line.rule.source if line.rule else None, **_quantity_fields(),
    }),
    "adjustments": Group(lambda r: r.adjustments, {
        "number": _number, "tenant": _own("tenant"), "sku": _own("sku"), "quantity": _own("quantity"),
        "reason": _own("reason"), "text": _own("text"), "actor": _own("actor"),
    }),
    "differences": Group(lambda r: r.correction.differences if r.correction else [], {
        "number": _number, "tenant": _own("tenant"), "sku": _own("sku"), "before": _own("before"),
        "after": _own("after"), "difference": lambda c, d, i: d.after - d.before,
    }),
}  # fmt: skip
"""Without an item the row stands once, with quantities of 0 and no texts."""
_NUMBERS = {*QUANTITIES, "quantity", "before", "after", "difference"}


def group_of(name: str) -> str | None:
    """The group whose row this placeholder repeats; it may still have no such field."""
    group = name.partition(".")[0]
    return group if group in GROUPS else None


def sku_of(name: str) -> str | None:
    """The SKU of sku.ID.reported; ids may hold dots."""
    return name[len("sku.") : name.rindex(".")] if name.startswith("sku.") and name.count(".") > 1 else None


def family_of(name: str) -> tuple[str, str] | None:
    """Family and deployment of family.NAME.cloud.reported; names may hold dots."""
    if not name.startswith("family.") or name.count(".") < 3:
        return None
    family, _, deployment = name[len("family.") : name.rindex(".")].rpartition(".")
    return family, deployment


def unknown(name: str) -> str | None:
    """Why a placeholder means nothing, with the nearest one that does; None when it is known."""
    quantity = name.rpartition(".")[2]
    if sku_of(name) is not None or family_of(name) is not None:
        if (family := family_of(name)) and family[1] not in ("cloud", "on-prem"):
            return f"has the deployment {family[1]!r}: write cloud or on-prem"
        if quantity in QUANTITIES:
            return None
        return f"ends in {quantity!r}, which is no quantity; {_nearest(quantity, QUANTITIES)}"
    group = group_of(name)
    if name in SCALARS or (group and name.partition(".")[2] in GROUPS[group].fields):
        return None
    known = [*SCALARS, *(f"{g}.{f}" for g, group in GROUPS.items() for f in group.fields),
             "sku.ID.reported", "family.NAME.cloud.reported"]  # fmt: skip
    return f"means nothing; {_nearest(name, known)}"


def value(name: str, c: Context) -> Value:
    """Of a known placeholder that repeats nothing. A SKU or family that the report does not have is 0."""
    quantity = name.rpartition(".")[2]
    found: Quantities | None
    if (sku := sku_of(name)) is not None:
        found = next((s for s in c.report.skus if s.sku == sku), None)
    elif (family := family_of(name)) is not None:
        found = next((f for f in c.report.families if (f.family, f.deployment) == family), None)
    else:
        return SCALARS[name](c)
    return int(getattr(found, quantity)) if found else 0


def item_value(name: str, c: Context, item: Any, number: int) -> Value:
    """Of a known placeholder of a repeated row; `item` is None when there is nothing to repeat it for."""
    group, _, field = name.partition(".")
    if item is None:
        return 0 if field in _NUMBERS else None
    return GROUPS[group].fields[field](c, item, number)


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean {close[0]}?" if close else "docs/forms.md has them all"
