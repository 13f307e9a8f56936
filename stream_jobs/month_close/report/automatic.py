"""Whether a draft may be approved without a person. Pure."""

from __future__ import annotations

from schemas.agreement import AutomaticApproval
from schemas.report import Report
from stream_jobs.month_close.report.life import Life
from stream_jobs.month_close.rules import sources

_ORDER = ("none", "info", "warning", "blocking")


def needs_a_person(report: Report, before: Report | None, life: Life, limits: AutomaticApproval) -> list[str]:
    """Why a person must look at the newest draft, in sentences; none when all limits hold.

    `report` is that draft, `before` the report in force of the month before. Where a person adjusted or waived
    something in this revision, another person looks at it: four eyes have no automatic substitute.
    """
    reasons = []
    if before is None:
        reasons.append("there is no report of the month before to hold it against")
    elif (change := _percent(before.total.reported, report.total.reported)) > limits.variance_percent:
        reasons.append(
            f"{report.total.reported} is {change:g} % away from {before.total.reported} of the month before, and "
            f"{limits.variance_percent:g} % is the limit"
        )
    for finding in report.findings:
        if finding.waived is None and _ORDER.index(finding.severity) > _ORDER.index(limits.highest_severity):
            reasons.append(f"finding {finding.id} is {finding.severity}, above {limits.highest_severity}")
        elif limits.all_sources and finding.waived is None and finding.kind in sources.KINDS:
            reasons.append(f"not all sources report: {finding.id}")
    newest = life.newest
    hands = life.hands_in(newest) if newest else frozenset()
    reasons += (f"{hand} adjusted or waived something in it" for hand in sorted(hands))
    return reasons


def _percent(before: int, now: int) -> float:
    if before == now:
        return 0.0
    return float("inf") if before == 0 else round(abs(now - before) * 100 / abs(before), 1)
