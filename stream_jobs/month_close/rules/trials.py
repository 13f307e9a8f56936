"""Trials that last longer than a trial may (CSP-9). Whether a trial is counted is decided at the close.

Trials of one tenant and SKU that follow one another without a day between are one trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from schemas.allowances import Trial
from schemas.calendar import next_month
from schemas.report import Finding
from schemas.rules import Rule, TrialsRule
from stream_jobs.month_close.rules.numbers import Numbers, Verdict, cite, of_kind


def judge(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    entries = of_kind(rules, TrialsRule)
    if not entries:
        return Verdict()
    rule, findings = entries[0], []
    for (tenant, sku), runs in sorted(_runs(numbers.catalogue.trials).items()):
        if not any((line.tenant, line.sku) == (tenant, sku) for line in numbers.lines):
            continue
        for first, end in runs:
            days = (end - first).days
            if days > rule.longest_days and first < next_month(numbers.month) and end > numbers.month:
                findings.append(
                    Finding(
                        id=f"trials:{tenant}:{sku}", kind="trials", severity="warning", rule=cite(rule), tenant=tenant,
                        sku=sku, text=f"the trial of {tenant} for SKU {sku} lasts {days} days from {first} on, longer "
                        f"than the {rule.longest_days} that it may: shorten it in the catalogue and close the month "
                        "again.",
                    )
                )  # fmt: skip
    return Verdict(findings)


def _runs(trials: Sequence[Trial]) -> dict[tuple[str, str], list[tuple[date, date]]]:
    """By tenant and SKU: first day and first day out of each unbroken stretch of trials, in order."""
    found: dict[tuple[str, str], list[tuple[date, date]]] = {}
    for trial in sorted(trials, key=lambda t: t.start):
        runs, end = found.setdefault((trial.tenant, trial.sku), []), trial.start + timedelta(days=trial.days)
        if runs and trial.start <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(runs[-1][1], end)
        else:
            runs.append((trial.start, end))
    return found
