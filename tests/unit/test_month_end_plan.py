"""What is due of a report at a moment: the plan, over ledgers made by hand. No I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from schemas.catalogue import Catalogue
from schemas.ledger import (
    Acknowledged,
    Act,
    Approved,
    Attempted,
    Drafted,
    Ended,
    Entry,
    Notified,
    Rejected,
    Returned,
)
from stream_jobs.month_close.report.life import read_life
from stream_jobs.month_close.unattended.calendar import Calendar
from stream_jobs.month_close.unattended.plan import Matter, Step, notice_key

SHA = "0" * 64
MONTH = date(2026, 2, 1)
SETTLED = datetime(2026, 3, 3, 15, tzinfo=UTC)  # the 4th begins in Tokyo
LATE = datetime(2026, 3, 10, 15, tzinfo=UTC)


def catalogue(**agreement: Any) -> Catalogue:
    return Catalogue.model_validate({
        "programmes": {"csp": {"time_zone": "Asia/Tokyo"}}, "tenants": [], "skus": [],
        "agreements": [{
            "id": "a", "programme": "csp", "partner": {"name": "P"}, "distributor": {"name": "D"},
            "contract_date": "2026-02-17", "submission": {"by": "folder", "folder": "out"},
            "reminders": {"remind_days": 0, "escalate_days": 0}, **agreement,
        }],
    })  # fmt: skip


def matter(*acts: Act, at: datetime = SETTLED, agreement: dict[str, Any] | None = None, **facts: Any) -> Matter:
    """The report of February, with these acts in its ledger, all of them done at one moment."""
    held = catalogue(**(agreement or {}))
    [owed] = Calendar(held, {}).owed(datetime(2026, 3, 1, tzinfo=UTC))
    entries = [Entry(place=i, at=at, actor="month-end", act=act) for i, act in enumerate(acts, start=1)]
    facts = {"seal": 1 if acts else 0, **facts}
    return Matter(owed, read_life("a", MONTH, entries), **facts)


def drafted(revision: int = 1, draft: int = 1, seal: int = 1) -> Drafted:
    return Drafted(revision=revision, draft=draft, report=SHA, seal_revision=seal, seal_digest=SHA, reason="")


APPROVED = Approved(revision=1, draft=1, report=SHA, how="os-user")
SENT = (
    drafted(), APPROVED, Attempted(revision=1, attempt=1, transport="folder", target="out", key="k"),
    Ended(revision=1, attempt=1, outcome="accepted"),
)  # fmt: skip


def kinds(one: Matter, now: datetime) -> list[str]:
    return [step.kind for step in one.steps(now)]


def told(*steps: Step) -> list[Notified]:
    named = {"remind": "reminder", "escalate": "escalation", "overdue": "overdue", "alert": "failure"}
    return [
        Notified.model_validate({"kind": named[s.kind], "key": notice_key(s.kind, s.mark), "to": ["x"]}) for s in steps
    ]


def test_a_month_is_owed_when_it_is_over_where_the_programme_is_and_from_the_first_one_on() -> None:
    calendar = Calendar(catalogue(), {})
    end = datetime(2026, 2, 28, 15, tzinfo=UTC)
    assert list(calendar.owed(end - timedelta(microseconds=1))) == []
    [owed] = calendar.owed(end)
    assert (owed.month, owed.over, owed.settled, owed.late) == (MONTH, end, SETTLED, LATE)
    assert [o.month.month for o in calendar.owed(datetime(2026, 5, 15, tzinfo=UTC))] == [2, 3, 4]
    ended = Calendar(catalogue(valid_to="2026-04"), {})
    assert [o.month.month for o in ended.owed(datetime(2027, 5, 15, tzinfo=UTC))] == [2, 3]


def test_a_programme_without_agreements_owes_from_its_first_logins_on() -> None:
    held = catalogue().model_copy(update={"agreements": []})
    assert list(Calendar(held, {}).owed(datetime(2026, 5, 15, tzinfo=UTC))) == []
    found = Calendar(held, {"csp": {date(2026, 3, 1)}}).owed(datetime(2026, 5, 15, tzinfo=UTC))
    assert [(o.agreement.id, o.month.month) for o in found] == [("csp", 3), ("csp", 4)]


def test_what_no_agreement_covers_is_owed_for_the_months_that_have_logins_of_it() -> None:
    held = Calendar(catalogue(tenants=["t"]), {"csp": {date(2026, 3, 1)}})
    found = [(o.agreement.id, o.month.month) for o in held.owed(datetime(2026, 5, 15, tzinfo=UTC))]
    assert found == [("a", 2), ("a", 3), ("csp", 3), ("a", 4)]


def test_it_settles_first_and_is_then_drafted_with_or_without_logins() -> None:
    fresh = matter()
    assert kinds(fresh, SETTLED - timedelta(seconds=1)) == []
    wait = fresh.wait(SETTLED - timedelta(seconds=1))
    assert wait is not None
    assert "2026-03-03 15:00Z" in wait.what
    assert list(fresh.steps(SETTLED)) == [Step("draft", "r1", "the month is over and has settled", close=True)]


def test_a_draft_is_counted_again_once_a_day_when_something_came_behind_it() -> None:
    later = matter(drafted(), changed="2 subjects were recorded behind close 7")
    assert kinds(later, SETTLED + timedelta(hours=23)) == []
    [step] = later.steps(SETTLED + timedelta(hours=24))
    assert (step.kind, step.close, step.mark) == ("recount", True, "r1 2026-03-05")
    assert kinds(matter(drafted()), SETTLED + timedelta(days=1)) == []


def test_a_seal_of_today_is_not_made_again_and_a_clock_ahead_is_not_believed() -> None:
    now = SETTLED + timedelta(hours=30)
    closed = matter(drafted(), changed="something", sealed_at=now - timedelta(hours=1))
    assert kinds(closed, now) == []
    assert kinds(replace(closed, sealed_at=now + timedelta(days=900)), now) == ["recount"]


def test_a_newer_seal_than_the_draft_is_drafted_at_once_without_another_close() -> None:
    [step] = matter(drafted(), seal=2).steps(SETTLED)
    assert (step.kind, step.close) == ("recount", False)


@pytest.mark.parametrize(
    ("acts", "facts", "expected"),
    [
        ([drafted()], {}, ["approve"]),
        ([drafted()], {"unfit": "too much"}, []),
        ([drafted(), Returned(revision=1, reason="no")], {}, ["alert"]),
        ([drafted()], {"seal": 2}, ["recount"]),
    ],
)  # fmt: skip
def test_automatic_approval_is_tried_for_a_draft_that_nobody_gave_back(
    acts: list[Act], facts: dict[str, Any], expected: list[str]
) -> None:
    limits = {"approval": {"automatic": {"variance_percent": 10}}}
    assert kinds(matter(*acts, agreement=limits, **facts), SETTLED) == expected


def test_without_limits_in_the_agreement_a_person_approves() -> None:
    one = matter(drafted())
    assert kinds(one, SETTLED) == []
    assert one.wait(SETTLED) == ("draft 1 of revision 1 waits for approval", False)


def test_approvers_are_told_each_day_before_the_due_day_and_others_when_time_runs_out() -> None:
    one = matter(drafted(), agreement={"reminders": {"remind_days": 3, "escalate_days": 1}})
    days = {d: kinds(one, datetime(2026, 3, d, 12, tzinfo=UTC)) for d in range(4, 13)}
    assert days == {
        **{d: [] for d in (4, 5, 6)}, **{d: ["remind"] for d in (7, 8)},
        **{d: ["remind", "escalate"] for d in (9, 10)}, **{d: ["overdue"] for d in (11, 12)},
    }  # fmt: skip
    noon = datetime(2026, 3, 9, 12, tzinfo=UTC)
    again = matter(drafted(), *told(*one.steps(noon)), agreement={"reminders": {"remind_days": 3, "escalate_days": 1}})
    assert kinds(again, noon) == []
    assert kinds(again, noon + timedelta(days=1)) == ["remind", "escalate"]
    wait = one.wait(noon)
    assert wait is not None
    assert wait.needed  # time runs out


def test_overdue_is_told_once_a_day_even_before_there_is_a_draft() -> None:
    one = matter()
    assert kinds(one, LATE - timedelta(seconds=1)) == ["draft"]
    draft, overdue = one.steps(LATE)
    assert (draft.kind, overdue.kind, one.overdue(LATE)) == ("draft", "overdue", True)
    assert kinds(matter(drafted(), *told(overdue)), LATE) == []
    assert kinds(matter(drafted(), *told(overdue)), LATE + timedelta(days=1)) == ["overdue"]


def test_what_is_approved_is_sent_even_while_the_month_settles() -> None:
    one = matter(drafted(), APPROVED, changed="something")
    [step] = one.steps(SETTLED - timedelta(days=1))
    assert (step.kind, step.mark) == ("submit", "r1")
    by_hand = matter(drafted(), APPROVED, agreement={"submission": None})
    assert kinds(by_hand, SETTLED) == []
    wait = by_hand.wait(SETTLED)
    assert wait is not None
    assert "a person sends it" in wait.what


@pytest.mark.parametrize(
    ("transport", "outcome", "expected", "needed"),
    [
        ("folder", "failed", ["submit"], False), ("email", "failed", ["submit"], False),
        ("folder", "unknown", ["submit"], False), ("https", None, ["submit"], False),
        ("email", "unknown", ["alert"], True), ("email", None, ["alert"], True),
        ("by-hand", "unknown", ["alert"], True),
    ],
)  # fmt: skip
def test_an_attempt_in_doubt_is_repeated_only_by_a_transport_that_carries_the_key(
    transport: str, outcome: Any, expected: list[str], needed: bool
) -> None:
    tried = Attempted(revision=1, attempt=1, transport=transport, target="t", key="k")
    ended = [Ended(revision=1, attempt=1, outcome=outcome)] if outcome else []
    one = matter(drafted(), APPROVED, tried, *ended)
    if outcome is None:  # somebody may be at it
        assert (kinds(one, SETTLED), one.wait(SETTLED)) == ([], ("an attempt to send it is under way", False))
    later = SETTLED + timedelta(minutes=10)
    assert kinds(one, later) == expected
    wait = one.wait(later)
    assert wait is not None
    assert wait.needed is needed


def test_what_was_sent_is_finished_until_something_comes_behind_it() -> None:
    assert matter(*SENT).finished
    assert matter(*SENT, Acknowledged(revision=1, receipt="R")).finished
    assert kinds(matter(*SENT), LATE + timedelta(days=400)) == []
    late = matter(*SENT, changed="4 subjects were recorded behind close 3")
    assert not late.finished
    assert kinds(late, SETTLED + timedelta(hours=1)) == []
    [step] = late.steps(SETTLED + timedelta(days=60))
    assert (step.kind, step.mark, step.close) == ("correct", "r2 2026-05-03", True)
    [step] = matter(*SENT, seal=2).steps(SETTLED)
    assert (step.kind, step.close) == ("correct", False)


def test_a_correction_has_no_due_day_and_its_approvers_are_told_each_week() -> None:
    begun = SETTLED + timedelta(days=60)
    one = matter(*SENT, drafted(revision=2, seal=2), at=begun, seal=2)
    [step] = one.steps(begun)
    assert (step.kind, one.overdue(begun)) == ("remind", False)
    again = matter(*SENT, drafted(revision=2, seal=2), *told(step), at=begun, seal=2)
    assert kinds(again, begun + timedelta(days=6)) == []
    assert kinds(again, begun + timedelta(days=7)) == ["remind"]


def test_receipts_are_polled_where_they_can_be() -> None:
    https = {"submission": {"by": "https", "url": "https://d.example/in", "receipts": "https://d.example/receipts"}}
    assert kinds(matter(*SENT, agreement=https), LATE) == ["poll"]
    assert matter(*SENT, Acknowledged(revision=1, receipt="R"), agreement=https).finished


def test_a_rejected_report_needs_a_person_and_is_late_when_its_day_is_over() -> None:
    one = matter(*SENT, Rejected(revision=1, reason="wrong form"))
    [alert] = one.steps(SETTLED)
    one = matter(*SENT, Rejected(revision=1, reason="wrong form"), *told(alert))
    assert kinds(one, SETTLED) == []  # once
    wait = one.wait(SETTLED)
    assert wait is not None
    assert wait.needed
    assert "wrong form" in wait.what
    assert kinds(one, LATE) == ["overdue"]
    mended = matter(*SENT, Rejected(revision=1, reason="wrong form"), drafted(revision=2), changed="something")
    assert kinds(mended, SETTLED + timedelta(days=1)) == ["recount"]
