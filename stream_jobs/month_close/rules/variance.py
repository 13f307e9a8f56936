"""Changes of what is reported against earlier months.

Shortfall lines are no use, and are left out on both sides. `previous` is the newest earlier month that has a report;
`highest` the largest quantity of any. What appears only on one side counts as nothing on the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from schemas.calendar import month_name
from schemas.report import Finding, Line
from schemas.rules import Rule, VarianceRule
from stream_jobs.month_close.rules.numbers import Numbers, Verdict, cite, family_of, of_kind


def judge(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    return Verdict([finding for rule in of_kind(rules, VarianceRule) for finding in _judge(rule, numbers)])


def changed(before: int, after: int, percent: float, least: int = 0) -> bool:
    """Whether it is a change of more than so many percent, and of at least `least`; from nothing, any is."""
    difference = abs(after - before)
    if not difference or difference < least:
        return False
    return difference * 100 > Fraction(str(percent)) * abs(before)


def _judge(rule: VarianceRule, numbers: Numbers) -> Iterable[Finding]:
    if not numbers.history:
        return
    now = _quantities(rule, numbers.lines)
    months = [(month_name(r.month), _quantities(rule, r.lines)) for r in numbers.history]
    if rule.against == "previous":
        months = months[-1:]
    for key in sorted(now.keys() | {key for _, told in months for key in told}):
        # Of equal ones the latest, since that is what people remember.
        name, before = max(((n, told.get(key, 0)) for n, told in months), key=lambda one: (one[1], one[0]))
        after = now.get(key, 0)
        if changed(before, after, rule.percent, rule.least):
            yield _finding(rule, key, name, before, after)


def _quantities(rule: VarianceRule, lines: Iterable[Line]) -> dict[str, int]:
    """What is reported, without shortfalls, by what the rule looks at."""
    found: dict[str, int] = {}
    for line in lines:
        if line.shortfall:
            continue
        key = {"agreement": "", "family": str(family_of(line)), "sku": line.sku, "tenant": line.tenant}[rule.per]
        if key or rule.per == "agreement":
            found[key] = found.get(key, 0) + line.reported
    return found or ({"": 0} if rule.per == "agreement" else {})


def _finding(rule: VarianceRule, key: str, name: str, before: int, after: int) -> Finding:
    where = f"{'SKU' if rule.per == 'sku' else rule.per} {key}: " if key else ""
    then = f"{before} in {name}" + (", the highest" if rule.against == "highest" else "")
    if before > 0:
        change = f"{(after - before) / before:+.1%}, more than the {rule.percent:g} % that are let pass"
    else:
        change = "where there was nothing" if before == 0 else "where it was less than nothing"
    about = {rule.per: key} if rule.per in ("family", "sku", "tenant") else {}
    if rule.per == "family":
        about = {"family": key.removesuffix(":on-prem")}
    return Finding(
        id=":".join(["variance", rule.against, rule.per, *([key] if key else [])]), kind="variance",
        severity=rule.severity, rule=cite(rule), **about,
        text=f"{where}{after} reported against {then} ({change}): see what changed, adjust or waive.",
    )  # fmt: skip
