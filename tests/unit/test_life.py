"""The life of a report, read from its ledger: states, what lapses, what may be done when, and laws."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import CheckFailed
from schemas.agreement import Agreement
from schemas.ledger import (
    Acknowledged,
    Act,
    Adjusted,
    Approved,
    Attempted,
    Drafted,
    Ended,
    Entry,
    Notified,
    Rejected,
    Returned,
    Waived,
)
from stream_jobs.month_close.report.life import Life, read_life, refused, standing

OCTOBER = date(2026, 10, 1)
BEGUN = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
AGREEMENT = Agreement.model_validate({
    "id": "acme", "programme": "csp", "partner": {"name": "P"}, "distributor": {"name": "D"},
    "contract_date": "2026-01-01",
})  # fmt: skip


def sha(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def drafted(revision: int = 1, draft: int = 1) -> Drafted:
    return Drafted(
        revision=revision, draft=draft, report=sha((revision, draft)), seal_revision=1, seal_digest=sha("seal"),
        reason=f"reason {revision}.{draft}",
    )  # fmt: skip


def approved(revision: int = 1, draft: int = 1) -> Approved:
    return Approved(revision=revision, draft=draft, report=sha((revision, draft)), how="os-user")


def attempted(revision: int = 1, attempt: int = 1, transport: str = "email", key: str = "key") -> Attempted:
    return Attempted(revision=revision, attempt=attempt, transport=transport, target="t", key=key)


def ended(outcome: str, revision: int = 1, attempt: int = 1) -> Ended:
    return Ended.model_validate({"revision": revision, "attempt": attempt, "outcome": outcome, "note": "said so"})


ADJUSTED = Adjusted(tenant="a", sku="S1", quantity=-1, reason="other", text="t")
WAIVED = Waived(revision=1, finding="f", reason="other", text="t")
RECEIPT = Acknowledged(revision=1, receipt="R-1")
REFUSAL = Rejected(revision=1, reason="wrong form")
REFUSAL_2 = Rejected(revision=2, reason="no")
RETURNED = Returned(revision=1, reason="no")
SENT = [drafted(), approved(), attempted(), ended("accepted")]
UNKNOWN = [drafted(), approved(), attempted(), ended("unknown")]


def life_of(*acts: Act, actor: str = "alice") -> Life:
    entries = [
        Entry(place=n, at=BEGUN + timedelta(hours=n), actor="bob" if isinstance(act, Approved) else actor, act=act)
        for n, act in enumerate(acts, 1)
    ]
    return read_life("acme", OCTOBER, entries)


@pytest.mark.parametrize(
    ("acts", "states"),
    [
        ([], []),
        ([drafted()], ["draft"]),
        ([drafted(), drafted(1, 2)], ["draft"]),
        ([drafted(), approved()], ["approved"]),
        ([drafted(), approved(), RETURNED], ["draft"]),
        ([drafted(), approved(), drafted(1, 2)], ["draft"]),
        ([drafted(), approved(), attempted()], ["approved"]),
        ([drafted(), approved(), attempted(), ended("failed")], ["approved"]),
        (UNKNOWN, ["approved"]),
        ([*UNKNOWN, RECEIPT], ["acknowledged"]),
        ([*UNKNOWN, REFUSAL], ["rejected"]),
        ([*UNKNOWN, ended("accepted")], ["submitted"]),
        (SENT, ["submitted"]),
        ([*SENT, RECEIPT], ["acknowledged"]),
        ([*SENT, REFUSAL], ["rejected"]),
        ([*SENT, RECEIPT, drafted(2)], ["acknowledged", "draft"]),
        ([*SENT, REFUSAL, drafted(2), approved(2), attempted(2), ended("accepted", 2)], ["superseded", "submitted"]),
        (
            [*SENT, RECEIPT, drafted(2), approved(2), attempted(2), ended("accepted", 2), REFUSAL_2],
            ["acknowledged", "rejected"],
        ),
        ([*UNKNOWN, RECEIPT, ended("failed")], ["acknowledged"]),
    ],
)  # fmt: skip
def test_the_state_is_the_ledger_read_from_its_start(acts: list[Act], states: list[str]) -> None:
    life = life_of(*acts)
    assert [revision.state for revision in life.revisions] == states
    assert life.state == (states[-1] if states else "open")


def test_who_and_when_is_kept_and_lapses_with_the_next_draft() -> None:
    life = life_of(drafted(), approved(), attempted(), ended("failed"), drafted(1, 2))
    newest = life.newest
    assert newest is not None
    assert (newest.prepared_by, newest.prepared_at, newest.opened_at) == (
        "alice", BEGUN + timedelta(hours=5), BEGUN + timedelta(hours=1),
    )  # fmt: skip
    assert (newest.approved_by, newest.approved_at, newest.approved_how) == ("", None, "")
    assert [(a.outcome, a.note) for a in newest.attempts] == [("failed", "said so")]
    printed = standing(life_of(*SENT, RECEIPT).newest)
    assert (printed.prepared_at, printed.approved_by, printed.approved_at) == (
        "2026-11-01T09:30:00Z", "bob", "2026-11-01T10:30:00Z",
    )  # fmt: skip
    assert (printed.submitted_at, printed.receipt) == ("2026-11-01T12:30:00Z", "R-1")
    assert standing(None).state == "open"


def test_what_the_distributor_holds_is_what_it_did_not_reject() -> None:
    second = [drafted(2), approved(2), attempted(2), ended("accepted", 2)]
    refused_later = life_of(*SENT, RECEIPT, *second, REFUSAL_2)
    assert refused_later.sent is refused_later.in_force is refused_later.revision(1)
    assert life_of(*SENT, REFUSAL).sent is None
    drafted_only = life_of(drafted())
    assert drafted_only.sent is None
    assert drafted_only.in_force is drafted_only.newest


def test_adjustments_are_in_every_later_revision_and_waivers_in_theirs() -> None:
    life = life_of(drafted(), ADJUSTED, WAIVED, drafted(1, 2), Notified(kind="reminder", key="k", to=["a"]))
    assert [(a.place, a.quantity, a.actor) for a in life.adjustments] == [(2, -1, "alice")]
    assert {key: w.place for key, w in life.waivers.items()} == {(1, "f"): 3}
    assert life.pending == []
    assert life.notified == {"k"}
    assert [row.place for row in life_of(drafted(), ADJUSTED, WAIVED).pending] == [2, 3]


@pytest.mark.parametrize(
    ("places", "what"), [([1, 3], "place 2 is missing"), ([1, 1], "it stands twice"), ([2], "place 1 is missing")]
)  # fmt: skip
def test_a_ledger_with_a_gap_or_a_double_is_not_read(places: list[int], what: str) -> None:
    entries = [Entry(place=p, at=BEGUN, actor="a", act=drafted(1, n)) for n, p in enumerate(places, 1)]
    with pytest.raises(CheckFailed, match=what):
        read_life("acme", OCTOBER, entries)


@pytest.mark.parametrize("act", [approved(2), drafted(3), attempted(2), ended("failed", 1, 1), REFUSAL_2])
def test_an_entry_about_what_never_was_is_not_read(act: Act) -> None:
    with pytest.raises(CheckFailed, match=r"place 2 .*restore the table"):
        life_of(drafted(), act)


@pytest.mark.parametrize(
    ("acts", "act", "sentence"),
    [
        ([], drafted(), None),
        ([], drafted(2), "revision 1 draft 1"),
        ([], ADJUSTED, "no such draft yet"),
        ([drafted()], drafted(1, 2), None),
        ([drafted()], drafted(1, 1), "revision 1 draft 2"),
        ([drafted()], drafted(2), "revision 1 draft 2"),
        ([drafted()], attempted(), "is not approved"),
        ([drafted()], RECEIPT, "was not sent"),
        ([drafted()], RETURNED, None),
        ([drafted(), approved()], drafted(1, 2), None),
        ([drafted(), approved()], RETURNED, None),
        ([drafted(), approved()], attempted(), None),
        ([drafted(), approved()], attempted(attempt=2), "next attempt"),
        ([drafted(), approved()], ended("accepted"), "no attempt 1"),
        ([drafted(), approved(), attempted()], attempted(attempt=2), "may have arrived"),
        ([drafted(), approved(), attempted()], RETURNED, "may have arrived"),
        ([drafted(), approved(), attempted()], drafted(1, 2), "may have arrived"),
        ([drafted(), approved(), attempted()], ADJUSTED, "may have arrived"),
        ([drafted(), approved(), attempted()], WAIVED, "may have arrived"),
        ([drafted(), approved(), attempted()], RECEIPT, None),
        (UNKNOWN, REFUSAL, None),
        (UNKNOWN, ended("failed"), None),
        (UNKNOWN, attempted(attempt=2), "may have arrived"),
        ([drafted(), approved(), attempted(), ended("failed")], attempted(attempt=2), None),
        ([drafted(), approved(), attempted(), ended("failed")], attempted(attempt=2, key="k2"), "goes by the key"),
        ([drafted(), approved(), attempted(), ended("failed")], RETURNED, None),
        ([drafted(), approved(), attempted(transport="https")], attempted(attempt=2, transport="https"), None),
        ([drafted(), approved(), attempted(transport="https")], attempted(attempt=2), "may have arrived"),
        ([drafted(), approved(), attempted()], attempted(attempt=2, transport="https"), "may have arrived"),
        (SENT, attempted(attempt=2), "sent already"),
        (SENT, ended("failed"), "is known to be accepted"),
        (SENT, drafted(1, 2), "revision 2 draft 1"),
        (SENT, drafted(2), None),
        (SENT, RETURNED, "is a correction"),
        (SENT, WAIVED, "is a correction"),
        (SENT, approved(), "is a correction"),
        (SENT, ADJUSTED, None),
        ([*SENT, RECEIPT], RECEIPT, "answered already: acknowledged, R-1"),
        ([*SENT, REFUSAL], RECEIPT, "answered already: rejected, wrong form"),
        ([*SENT, drafted(2)], RECEIPT, None),
        ([*SENT, drafted(2)], WAIVED, "not the newest"),
        ([Notified(kind="reminder", key="k", to=["a"])], Notified(kind="reminder", key="k", to=["b"]), "told already"),
    ],
)  # fmt: skip
def test_what_may_be_done_when(acts: list[Act], act: Act, sentence: str | None) -> None:
    said = refused(life_of(*acts), act, "carol", AGREEMENT)
    assert said is None if sentence is None else sentence in str(said)


EDGES = {
    ("open", "draft"), ("draft", "draft"), ("draft", "approved"), ("approved", "draft"), ("approved", "approved"),
    ("approved", "submitted"), ("approved", "acknowledged"), ("approved", "rejected"), ("submitted", "submitted"),
    ("submitted", "acknowledged"), ("submitted", "rejected"), ("submitted", "superseded"),
    ("acknowledged", "acknowledged"), ("acknowledged", "superseded"), ("rejected", "rejected"),
    ("rejected", "superseded"), ("superseded", "superseded"),
    # A later revision that is rejected gives way to what the distributor held before.
    ("superseded", "acknowledged"), ("superseded", "submitted"), ("superseded", "rejected"),
}  # fmt: skip
OUTCOMES = st.sampled_from(["accepted", "failed", "unknown"])
NUMBERS = st.integers(1, 3)
ACTS: st.SearchStrategy[Act] = st.one_of(
    st.builds(drafted, NUMBERS, NUMBERS), st.builds(approved, NUMBERS, NUMBERS),
    st.builds(attempted, NUMBERS, NUMBERS, st.sampled_from(["email", "https"])),
    st.builds(ended, OUTCOMES, NUMBERS, NUMBERS),
    st.builds(lambda n: RECEIPT.model_copy(update={"revision": n}), NUMBERS),
    st.builds(lambda n: REFUSAL.model_copy(update={"revision": n}), NUMBERS),
    st.builds(lambda n: RETURNED.model_copy(update={"revision": n}), NUMBERS),
    st.builds(lambda n: WAIVED.model_copy(update={"revision": n}), NUMBERS), st.just(ADJUSTED),
)  # fmt: skip


@given(st.lists(ACTS, max_size=60))
def test_whatever_people_try_a_report_moves_only_along_its_edges(tried: list[Act]) -> None:
    done: list[Act] = []
    life = life_of()
    for act in tried:
        if refused(life, act, "bob", AGREEMENT) is not None:
            continue
        after = life_of(*done, act)
        if isinstance(act, Attempted):
            revision = life.revision(act.revision)
            assert revision is not None
            assert revision.state == "approved"
            assert not any(a.outcome == "accepted" for a in revision.attempts), "each revision is accepted once"
            assert act.transport == "https" or not any(a.open for a in revision.attempts), "never sent again blindly"
        for number, revision in enumerate(after.revisions, 1):
            before: Any = life.revision(number)
            assert ((before.state if before else "open"), revision.state) in EDGES
            if before and (before.was_sent or before.unresolved):
                assert (before.draft, before.report, before.approved_by) == (
                    revision.draft, revision.report, revision.approved_by,
                )  # fmt: skip
        assert sum(r.state in ("submitted", "acknowledged") for r in after.revisions) <= 1
        done.append(act)
        life = after
