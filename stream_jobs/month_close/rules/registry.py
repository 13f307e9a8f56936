"""Every kind of finding, and in which order rules are judged: those that add lines first, then all others on all lines.

To add a kind: its entry in schemas/rules.py, a function of this form, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from schemas.rules import Rule
from stream_jobs.month_close.rules import builtin, evidence, family_minimum, skus, sources, tier, trials, variance, zero
from stream_jobs.month_close.rules.numbers import Numbers, Verdict

Judge = Callable[[Sequence[Rule], Numbers], Verdict]
"""Given all rules in force, of which it takes its own kind's, and the numbers; pure."""

# The shortfall before the lines of zero: a family with `when_unused` reports something.
ADDING: dict[str, Judge] = {"family_minimum": family_minimum.judge, "zero_report": zero.zero_report}
FINDING: dict[str, Judge] = {
    "unit": skus.unit,
    "channel": skus.channel,
    "licence_model": skus.licence_model,
    "segment": skus.segment,
    "tier": tier.judge,
    "trials": trials.judge,
    "first_report": zero.first_report,
    "variance": variance.judge,
    "set_aside": evidence.set_aside,
    "arriving": evidence.arriving,
    "unadjusted": builtin.unadjusted,
    "adjusted_unused": builtin.adjusted_unused,
    "negative": builtin.negative,
    "uncovered": builtin.uncovered,
    "silent_source": sources.silent,
    "no_watermark": sources.unanswered,
    "refused_records": sources.unread,
}


def judge(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    """Every finding, and the lines that rules add to those of `numbers`."""
    verdict = Verdict()
    for one in ADDING.values():
        added = one(rules, numbers)
        verdict.findings.extend(added.findings)
        verdict.lines.extend(added.lines)
        numbers = replace(numbers, lines=(*numbers.lines, *added.lines))
    for one in FINDING.values():
        verdict.findings.extend(one(rules, numbers).findings)
    return verdict
