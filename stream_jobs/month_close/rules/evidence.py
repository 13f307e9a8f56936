"""What may be missing from the count: quarantined events of the month, and logins that came behind the close."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.calendar import month_name
from schemas.report import Finding
from schemas.rules import ArrivingRule, Rule, SetAsideRule
from stream_jobs.month_close.rules.numbers import Numbers, Verdict, cite, of_kind, several


def set_aside(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    """One finding per reason and source once there are more than `at_most` of all: who waives one, waives only that."""
    events: dict[tuple[str, str], int] = {}
    for part in numbers.set_aside:
        events[part.reason, part.source] = events.get((part.reason, part.source), 0) + part.events
    name, all_of_them = month_name(numbers.month), sum(events.values())
    return Verdict(
        [
            Finding(
                id=f"set_aside:{reason}:{source}", kind="set_aside", severity=rule.severity, rule=cite(rule),
                text=f"{several(many, 'event')} of {name} from {source or 'an unknown source'} "
                f"{'stands' if many == 1 else 'stand'} in quarantine ({reason}) and {'is' if many == 1 else 'are'} not "
                "counted: cure and replay them (`rollcall quarantine list`), then close again, or waive them.",
            )
            for rule in of_kind(rules, SetAsideRule) if all_of_them > rule.at_most
            for (reason, source), many in sorted(events.items())
        ]
    )  # fmt: skip


def arriving(rules: Sequence[Rule], numbers: Numbers) -> Verdict:
    name, many = month_name(numbers.month), numbers.arriving
    return Verdict(
        [
            Finding(
                id="arriving", kind="arriving", severity=rule.severity, rule=cite(rule),
                text=f"{several(many, 'subject')} of {name} reached the log behind the close: close the month again "
                "before this is approved; after that they are a correction.",
            )
            for rule in of_kind(rules, ArrivingRule) if many > rule.at_most
        ]
    )  # fmt: skip
