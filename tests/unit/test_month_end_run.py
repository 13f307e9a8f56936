"""A run of the month end over steps that succeed or fail as told: what it does, says and exits with. No I/O."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from infra.errors import CheckFailed, OutOfReach
from schemas.ledger import Act, Approved, Attempted, Drafted, Ended, Entry, Notified
from schemas.settings import Settings
from stream_jobs.month_close.report.life import read_life
from stream_jobs.month_close.unattended import run
from stream_jobs.month_close.unattended.behind import SealHead
from stream_jobs.month_close.unattended.calendar import Calendar
from stream_jobs.month_close.unattended.picture import Picture
from stream_jobs.month_close.unattended.plan import Matter, Step, notice_key
from stream_jobs.month_close.unattended.run import MonthEnd
from stream_jobs.month_close.unattended.steps import Done
from tests.unit.test_month_end_plan import MONTH, SETTLED, SHA, catalogue

LATE = datetime(2026, 3, 12, tzinfo=UTC)


class Books:
    """Ledgers in memory, and the steps that write them. `failing` says which kinds fail, and how."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **agreement: Any) -> None:
        held = catalogue(**agreement)
        twin = held.agreements[0].model_copy(update={"id": "b"})
        self.catalogue = held.model_copy(update={"agreements": [held.agreements[0], twin]})
        self.acts: dict[str, list[Act]] = {"a": [], "b": []}
        self.failing: dict[str, Exception] = {}
        self.done: list[str] = []
        self.reads = 0
        monkeypatch.setattr(run, "read", self._read)

    def month_end(self) -> MonthEnd:
        client: Any = None
        steps: Any = self
        return MonthEnd(Settings(), client, steps, lambda sentence: None)

    def do(self, at: datetime, matter: Matter, step: Step) -> Done:
        id = matter.owed.agreement.id
        self.done.append(f"{step.kind} {id}")
        if error := self.failing.get(step.kind):
            raise error
        self.acts[id] += self._written(step, len(matter.life.revisions))
        return Done(f"{step.kind} done")

    def _written(self, step: Step, revisions: int) -> list[Act]:
        match step.kind:
            case "draft":
                return [Drafted(revision=1, draft=1, report=SHA, seal_revision=1, seal_digest=SHA, reason="")]
            case "approve":
                return [Approved(revision=1, draft=1, report=SHA, how="automatic")]
            case "submit":
                tried = Attempted(revision=1, attempt=1, transport="folder", target="out", key="k")
                return [tried, Ended(revision=1, attempt=1, outcome="accepted")]
            case _:
                return [Notified(kind="reminder", key=notice_key(step.kind, step.mark), to=["x"])]

    def _read(self, client: object, erased: object) -> Picture:
        self.reads += 1
        lives = {}
        for id, acts in self.acts.items():
            entries = [Entry(place=i, at=SETTLED, actor="month-end", act=act) for i, act in enumerate(acts, start=1)]
            lives[id, MONTH] = read_life(id, MONTH, entries)
        head = SealHead(1, 1, 1, False, {}, SETTLED)
        seals = {(id, MONTH): head for id, acts in self.acts.items() if acts}
        only_february = self.catalogue.model_copy(update={
            "agreements": [a.model_copy(update={"valid_to": date(2026, 3, 1)}) for a in self.catalogue.agreements],
        })  # fmt: skip
        return Picture(Calendar(only_february, {}), lives, seals, {}, {}, {})


AUTOMATIC = {"approval": {"automatic": {"variance_percent": 10}}}


def test_one_run_does_everything_that_is_due_and_the_next_one_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch, **AUTOMATIC)
    month_end = books.month_end()
    outcome = month_end.run(SETTLED)
    assert books.done == [f"{kind} {id}" for id in "ab" for kind in ("draft", "approve", "submit")]
    assert ([s.step for s in outcome.done], outcome.exit) == (["draft", "approve", "submit"] * 2, 0)
    reads = books.reads
    for _ in range(100):
        assert month_end.run(SETTLED).done == []
    assert books.reads == reads, "an idle hour reads nothing"


def test_a_dry_run_only_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch)
    outcome = books.month_end().run(SETTLED, dry_run=True)
    assert [(s.agreement, s.step) for s in outcome.done] == [("a", "draft"), ("b", "draft")]
    assert books.done == []
    assert json.loads(outcome.line())["dry_run"] is True


def test_one_agreement_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch)
    books.month_end().run(SETTLED, agreement="b")
    assert books.done == ["draft b"]


def test_what_fails_keeps_nothing_else_from_being_tried_and_is_told_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch, **AUTOMATIC)
    books.failing["submit"] = CheckFailed("the folder is not there")
    outcome = books.month_end().run(SETTLED)
    assert books.done == [f"{kind} {id}" for id in "ab" for kind in ("draft", "approve", "submit", "alert")]
    assert [(s.agreement, s.step, s.note) for s in outcome.failed] == [
        ("a", "submit", "the folder is not there"), ("b", "submit", "the folder is not there"),
    ]  # fmt: skip
    assert outcome.exit == 1
    books.done.clear()
    books.month_end().run(SETTLED)
    assert books.done == ["submit a", "submit b"]
    del books.failing["submit"]
    assert books.month_end().run(SETTLED).exit == 0


def test_a_server_out_of_reach_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch)
    books.failing["draft"] = OutOfReach("ClickHouse does not answer")
    outcome = books.month_end().run(SETTLED)
    assert (outcome.exit, len(outcome.failed)) == (3, 2)
    assert json.loads(outcome.line())["exit"] == 3

    def unreachable(client: object, erased: object) -> Picture:
        raise OutOfReach("ClickHouse does not answer")

    monkeypatch.setattr(run, "read", unreachable)
    assert books.month_end().run(SETTLED).exit == 3


def test_a_step_that_somebody_else_did_in_the_meantime_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch)
    written = books._written

    def overtaken(at: datetime, matter: Matter, step: Step) -> Done:
        books.acts[matter.owed.agreement.id] += written(step, 0)
        raise CheckFailed("somebody else was at it at the same time")

    monkeypatch.setattr(books, "do", overtaken)
    outcome = books.month_end().run(SETTLED)
    assert (outcome.done, outcome.failed, outcome.exit) == ([], [], 0)


def test_a_draft_beyond_the_limits_waits_and_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch, **AUTOMATIC)
    done = books.do

    def beyond(at: datetime, matter: Matter, step: Step) -> Done:
        if step.kind == "approve":
            books.done.append("tried")
            return Done(unfit="30 % is more than 10 %")
        return done(at, matter, step)

    monkeypatch.setattr(books, "do", beyond)
    month_end = books.month_end()
    for _ in range(3):
        outcome = month_end.run(SETTLED, agreement="a")
        assert [s.note for s in outcome.waiting] == [
            "draft 1 of revision 1 waits for approval; not automatically: 30 % is more than 10 %"
        ]
        assert outcome.exit == 0
    assert books.done == ["draft a", "tried"]


def test_overdue_is_exit_code_1_every_time_and_told_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(monkeypatch)
    for expected in (["draft a", "overdue a"], []):
        books.done.clear()
        outcome = books.month_end().run(LATE, agreement="a")
        assert (books.done, outcome.exit) == (expected, 1)
        assert json.loads(outcome.line())["overdue"] == [
            {"agreement": "a", "month": "2026-02", "note": "it was due on 2026-03-10"}
        ]
