"""What of a catalogue contradicts the programmes' rules, and rules that contradict each other.

A rule entry refuses the catalogue only if its severity is `blocking`; a lesser one lets it pass, and the report has a
finding. Where a programme has no entry of a kind, schemas/rules.py's BUILT_IN one of that kind holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, TypeVar

from schemas.catalogue_pieces import Pieces
from schemas.catalogue_text import Fault
from schemas.parts import covers, overlap
from schemas.rules import (
    BUILT_IN,
    ChannelRule,
    FamilyMinimumRule,
    LicenceModelRule,
    Rule,
    SegmentRule,
    TierRule,
    TrialsRule,
    UnitRule,
    VarianceRule,
)

if TYPE_CHECKING:
    from schemas.catalogue import Sku

R = TypeVar("R", UnitRule, ChannelRule, LicenceModelRule, SegmentRule, TrialsRule)
_WHERE = {"cloud": "in the cloud", "on-prem": "on premises"}


def rule_conflicts(p: Pieces) -> Iterator[Fault]:
    yield from _overlapping(p)
    yield from _families(p)
    for i, sku in p.skus.items():
        yield from _of_sku(p, i, sku)
    yield from _channels(p)
    yield from _trials(p)


def _overlapping(p: Pieces) -> Iterator[Fault]:
    """Of two entries on one matter, nobody could say which holds."""
    for (i, one), (j, other) in combinations(p.rules.items(), 2):
        if one.kind != other.kind or not overlap(one.validity, other.validity):
            continue
        if one.programme is not None and other.programme is not None and one.programme != other.programme:
            continue
        (matter, ones), (same, others) = _matter(one), _matter(other)
        if matter == same and (not ones or not others or ones & others):
            yield ("rules", j), (
                f"{other.id!r} and {one.id!r} (rules[{i}]) are both of kind {other.kind} for the same months; keep "
                "one, or end the first with valid_to where the other begins"
            )


def _matter(rule: Rule) -> tuple[object, set[str]]:
    """What an entry speaks of: equal matters overlap if their sets do; an empty set is everything."""
    match rule:
        case UnitRule() | TierRule():
            return None, set(rule.families)
        case FamilyMinimumRule():
            return rule.deployment, set(rule.families)
        case LicenceModelRule():
            return None, set(rule.forbidden)
        case SegmentRule():
            return None, set(rule.segments)
        case VarianceRule():
            return (rule.against, rule.per), set()
        case _:
            return None, set()


def _families(p: Pieces) -> Iterator[Fault]:
    """A misspelt family would leave a rule without effect, and nobody would notice."""
    skus = {s.id: s for s in p.skus.values()}
    for i, rule in p.rules.items():
        known = {s.family for s in p.skus.values() if rule.programme in (None, s.programme)}
        complete = len(skus) == len(p.ids["skus"])
        if complete and isinstance(rule, UnitRule | TierRule | FamilyMinimumRule):
            for j, family in enumerate(rule.families):
                if family not in known:
                    yield ("rules", i, "families", j), (
                        f"no SKU{_of_programme(rule)} is of family {family!r}; mend the name, or take it out"
                    )
        if isinstance(rule, FamilyMinimumRule):
            for family, id in rule.line_skus.items():
                if what := p.unknown("skus", id) or (id in skus and _wrong_line(rule, family, skus[id])):
                    yield ("rules", i, "line_skus", family), what


def _of_programme(rule: Rule) -> str:
    return f" of {rule.programme!r}" if rule.programme else ""


def _wrong_line(rule: FamilyMinimumRule, family: str, sku: Sku) -> str | None:
    """The sentence if a SKU cannot stand for what is missing to a family's minimum."""
    if rule.families and family not in rule.families:
        return f"{family!r} is not among the rule's families; add it there, or take this out"
    if sku.family != family:
        return f"{sku.id!r} is of family {sku.family!r}; name a SKU of {family!r}"
    if sku.deployment != rule.deployment:
        return f"{sku.id!r} is {_WHERE[sku.deployment]}, the rule's minimum {_WHERE[rule.deployment]}; name another SKU"
    if rule.programme not in (None, sku.programme):
        return f"{sku.id!r} is of programme {sku.programme!r}, the rule of {rule.programme!r}; name another SKU"
    return None


def _of_sku(p: Pieces, i: int, sku: Sku) -> Iterator[Fault]:
    """A SKU against the rules of its programme while it is valid."""
    in_tier = sku.tier in ("gov", "edu")
    if in_tier and sku.segment not in (None, sku.tier):
        yield ("skus", i, "segment"), f"{sku.segment!r} contradicts tier {sku.tier!r}; mend one, or leave this out"
    if sku.licensing == ("per-instance" if sku.unit == "user" else "per-user"):
        yield ("skus", i, "licence_model"), f"{sku.licensing!r} contradicts unit {sku.unit!r}; mend one of them"
    for segment in _held_to(p, sku, SegmentRule):
        if sku.market in segment.segments and sku.deployment != segment.deployment:
            part, where = "tier" if in_tier else "segment", _WHERE[segment.deployment]
            yield ("skus", i, part), (
                f"{sku.market!r} exists {where} only ({_cited(segment)}); mend {part} or deployment"
                + _or_end(segment, sku)
            )
    for licences in _held_to(p, sku, LicenceModelRule):
        # The built-in one is CSP-24's, which speaks of that channel alone.
        if sku.licensing in licences.forbidden and (licences not in BUILT_IN or sku.channel == "CSP"):
            yield ("skus", i, "licence_model"), (
                f"{sku.licensing!r} licences may not be reported ({_cited(licences)}); take the SKU out or mend it"
                + _or_end(licences, sku)
            )
    for unit in _held_to(p, sku, UnitRule):
        if sku.family in unit.families and sku.unit != unit.unit:
            yield ("skus", i, "unit"), (
                f"{sku.unit!r}, but family {sku.family!r} is counted by {unit.unit} ({_cited(unit)}); mend unit"
                + _or_end(unit, sku)
            )


def _channels(p: Pieces) -> Iterator[Fault]:
    """A report holds SKUs of its agreement's channel, and these channels report at all (CSP-2)."""
    for i, sku in p.skus.items():
        for rule in _held_to(p, sku, ChannelRule):
            theirs = {
                a.channel for a in p.agreements.values()
                if a.programme == sku.programme and overlap(a.validity, sku.validity)
            }  # fmt: skip
            if sku.channel not in rule.channels:
                yield ("skus", i, "channel"), (
                    f"{sku.channel!r} is none of {', '.join(rule.channels)} ({_cited(rule)}); mend it"
                    + _or_end(rule, sku)
                )
            elif theirs and sku.channel not in theirs:
                yield ("skus", i, "channel"), (
                    f"{sku.channel!r}, but the agreements of {sku.programme!r} are {', '.join(sorted(theirs))} "
                    f"({_cited(rule)}); mend it, or add an agreement of this channel"
                )
    for i, agreement in p.agreements.items():
        for rule in _entries(p, agreement.programme, ChannelRule):
            if overlap(rule.validity, agreement.validity) and agreement.channel not in rule.channels:
                yield ("agreements", i, "channel"), (
                    f"{agreement.channel!r} is none of {', '.join(rule.channels)} ({_cited(rule)}); mend it"
                )


def _trials(p: Pieces) -> Iterator[Fault]:
    programmes = {s.id: s.programme for s in p.skus.values()}
    for i, trial in p.trials.items():
        entries = _entries(p, programmes.get(trial.sku, ""), TrialsRule)
        then = [rule for rule in entries if covers(rule.valid_from, rule.valid_to, trial.start)]
        for rule in then or _built_in(TrialsRule):
            if trial.days > rule.longest_days:
                yield ("trials", i, "days"), (
                    f"a trial of {trial.days} days is longer than {rule.longest_days} ({_cited(rule)}); shorten it: "
                    "who logs in after it is reported"
                )


def _held_to(p: Pieces, sku: Sku, kind: type[R]) -> list[R]:
    return [rule for rule in _entries(p, sku.programme, kind) if overlap(rule.validity, sku.validity)]


def _entries(p: Pieces, programme: str, kind: type[R]) -> list[R]:
    """The programme's entries of a kind that refuse, whenever they are in force; without any entry, the built-in."""
    given = [r for r in p.rules.values() if isinstance(r, kind) and r.programme in (None, programme)]
    return [r for r in given if getattr(r, "severity", "blocking") == "blocking"] if given else _built_in(kind)


def _built_in(kind: type[R]) -> list[R]:
    return [rule for rule in BUILT_IN if isinstance(rule, kind)]


def _cited(rule: Rule) -> str:
    return rule.source if rule in BUILT_IN else f"rule {rule.id}, {rule.source}"


def _or_end(rule: Rule, sku: Sku) -> str:
    """The other cure where the SKU was right until the rule began."""
    if (sku.valid_from and sku.valid_from >= rule.valid_from) or rule in BUILT_IN:
        return ""
    return f", or end the SKU with valid_to: {rule.valid_from:%Y-%m}"
