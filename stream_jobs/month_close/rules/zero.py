"""Months without users, and the first report of a contract (CSP-3, CSP-15).

A month of which nothing is reported gets a line of zero for each SKU that is sold in it and has no line: in the first
months of the contract by the rule `first_report`, later by `zero_report`. Without either it stays without lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from schemas.calendar import month_name, next_month
from schemas.report import Finding
from schemas.rules import FirstReportRule, Rule, ZeroReportRule
from stream_jobs.month_close.agreements import UNKNOWN_CONTRACT
from stream_jobs.month_close.rules.numbers import Numbers, Verdict, cite, line_of, of_kind, several


def zero_report(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    first = [rule for rule in of_kind(rules, FirstReportRule) if _at_the_beginning(rule, numbers)]
    entries: list[FirstReportRule | ZeroReportRule] = [*first, *of_kind(rules, ZeroReportRule)]
    if not entries or any(line.reported for line in numbers.lines):
        return Verdict()
    rule, name = entries[0], month_name(numbers.month)
    held = {line.sku for line in numbers.lines}
    lines = [
        line_of(sku, measured=0, reported=0, rule=cite(rule)) for sku in numbers.sold if sku.id not in held
    ]  # fmt: skip
    finding = Finding(
        id="zero_report", kind="zero_report", rule=cite(rule),
        severity=next((r.severity for r in entries if isinstance(r, ZeroReportRule)), "info"),
        text=f"nothing is reported for {name}, with {several(len(lines), 'line')} of zero: a report is due all the "
        "same; see that the sources were sending, then approve it.",
    )  # fmt: skip
    return Verdict([finding], lines)


def first_report(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    """Found when no earlier report is known and this one falls due after the first one had to be there."""
    entries, signed = of_kind(rules, FirstReportRule), numbers.agreement.contract_date
    if not entries or numbers.history or signed == UNKNOWN_CONTRACT:
        return Verdict()
    rule = entries[0]
    until = months_after(signed, rule.months)
    if numbers.due.day <= until:
        return Verdict()
    finding = Finding(
        id="first_report", kind="first_report", severity=rule.severity, rule=cite(rule),
        text=f"the first report had to be there by {until}, {several(rule.months, 'month')} after the contract of "
        f"{signed}, no earlier one is known, and that of {month_name(numbers.month)} is due on {numbers.due.day}: "
        "report the months before, or waive this if they were reported without Rollcall.",
    )  # fmt: skip
    return Verdict([finding])


def months_after(day: date, months: int) -> date:
    """The same day of the month so many months later, or that month's last."""
    first = day.replace(day=1)
    for _ in range(months):
        first = next_month(first)
    last = next_month(first) - timedelta(days=1)
    return first.replace(day=min(day.day, last.day))


def _at_the_beginning(rule: FirstReportRule, numbers: Numbers) -> bool:
    """Whether the month is one of the contract's first: with 3, those of January, February and March from the 15th."""
    signed = numbers.agreement.contract_date
    return signed != UNKNOWN_CONTRACT and numbers.month < months_after(signed.replace(day=1), rule.months)
