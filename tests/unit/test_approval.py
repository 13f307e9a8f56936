"""Who may approve, what is signed, and when nobody has to."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.agreement import Agreement, AutomaticApproval, FolderSubmission
from schemas.ledger import Act, Adjusted, Approved, Entry, Waived
from schemas.report import Finding, Quantities, Report, Waiver
from stream_jobs.month_close.report.automatic import needs_a_person
from stream_jobs.month_close.report.life import Life, read_life, refused
from stream_jobs.month_close.report.next_step import next_step
from stream_jobs.month_close.report.permitted import same_person
from stream_jobs.month_close.report.signature import statement_of
from tests.unit.test_life import (
    ADJUSTED,
    AGREEMENT,
    BEGUN,
    OCTOBER,
    RECEIPT,
    REFUSAL,
    SENT,
    UNKNOWN,
    WAIVED,
    approved,
    drafted,
    life_of,
    sha,
)

LIMITS = AutomaticApproval(variance_percent=10, highest_severity="info")


def agreed(**approval: Any) -> Agreement:
    return Agreement.model_validate({**AGREEMENT.model_dump(mode="json"), "approval": approval})


def by(*done: tuple[str, Act]) -> Life:
    entries = [Entry(place=n, at=BEGUN, actor=actor, act=act) for n, (actor, act) in enumerate(done, 1)]
    return read_life("acme", OCTOBER, entries)


@pytest.mark.parametrize(
    ("actor", "rules", "sentence"),
    [
        ("carol", {}, None),
        ("alice", {}, "four eyes"),
        ("ALICE@provider.example", {}, "four eyes"),
        ("bob", {}, "four eyes"),
        ("dave", {}, "four eyes"),
        ("alice", {"four_eyes": False}, None),
        ("carol", {"approvers": ["erin"]}, "no approver of acme; its approvers are erin"),
        ("erin", {"approvers": ["erin"]}, None),
        ("carol", {"by": "ssh-signature"}, "asks for an approval by ssh-signature, not by os-user"),
    ],
)
def test_who_had_a_hand_in_a_draft_does_not_approve_it(actor: str, rules: Any, sentence: str | None) -> None:
    life = by(("x", drafted()), ("bob", ADJUSTED), ("dave", WAIVED), ("alice", drafted(1, 2)))
    said = refused(life, approved(1, 2), actor, agreed(**rules))
    assert said is None if sentence is None else sentence in str(said)


def test_an_adjustment_that_another_one_approved_before_does_not_bar_its_author() -> None:
    done = [("alice", drafted()), ("bob", ADJUSTED), ("alice", drafted(1, 2)), ("carol", approved(1, 2))]
    sent = [("carol", act.model_copy(update={"draft": 2}) if act.action == "drafted" else act) for act in SENT[2:]]
    life = by(*done, *sent, ("alice", drafted(2)))
    assert refused(life, approved(2), "bob", agreed()) is None
    assert "four eyes" in str(refused(life, approved(2), "alice", agreed()))


def test_what_is_approved_is_the_newest_draft_with_all_that_was_done_to_it() -> None:
    assert "draft 2 is" in str(refused(life_of(drafted(), drafted(1, 2)), approved(1, 1), "bob", agreed()))
    other = approved().model_copy(update={"report": sha("other")})
    assert "no longer what stands" in str(refused(life_of(drafted()), other, "bob", agreed()))
    assert "takes it in" in str(refused(life_of(drafted(), ADJUSTED), approved(), "bob", agreed()))
    assert "approved already, by bob" in str(refused(life_of(drafted(), approved()), approved(), "carol", agreed()))


def test_nothing_is_approved_by_itself_unless_the_agreement_says_so() -> None:
    act = Approved(revision=1, draft=1, report=sha((1, 1)), how="automatic")
    assert "has no automatic approval" in str(refused(life_of(drafted()), act, "month-end", agreed()))
    assert refused(life_of(drafted()), act, "month-end", agreed(automatic=LIMITS.model_dump())) is None


def test_one_person_is_known_under_account_and_signers_name() -> None:
    assert same_person("alice", "Alice@provider.example")
    assert not same_person("alice", "alicia@provider.example")


def test_the_statement_is_fixed_to_the_byte() -> None:
    newest = life_of(drafted(1, 3)).newest
    assert newest is not None
    assert statement_of("acme", OCTOBER, newest).encode() == (
        b"rollcall approval v1\nagreement acme\nmonth 2026-10\nrevision 1\ndraft 3\n"
        + f"seal {sha('seal')}\nreport {sha((1, 3))}\n".encode()
    )


def report(reported: int, *findings: Finding) -> Report:
    """Only what is looked at."""
    return Report.model_construct(total=Quantities(measured=reported, reported=reported), findings=list(findings))


def finding(severity: str, kind: str = "variance", waived: Waiver | None = None) -> Finding:
    given = {"id": f"{kind}:x", "kind": kind, "severity": severity, "text": "t", "waived": waived}
    return Finding.model_validate(given)


WAIVER = Waiver(place=2, reason="other", text="t", actor="bob")


@pytest.mark.parametrize(
    ("now", "before", "limits", "reason"),
    [
        (report(110), report(100), {}, None),
        (report(90), report(100), {}, None),
        (report(111), report(100), {}, "111 is 11 % away from 100"),
        (report(89), report(100), {}, "89 is 11 % away"),
        (report(0), report(0), {}, None),
        (report(1), report(0), {}, "inf % away"),
        (report(100), None, {}, "no report of the month before"),
        (report(100, finding("info")), report(100), {}, None),
        (report(100, finding("info")), report(100), {"highest_severity": "none"}, "variance:x is info, above none"),
        (report(100, finding("warning")), report(100), {}, "is warning, above info"),
        (report(100, finding("warning")), report(100), {"highest_severity": "warning"}, None),
        (report(100, finding("blocking")), report(100), {"highest_severity": "warning"}, "is blocking"),
        (report(100, finding("blocking", waived=WAIVER)), report(100), {}, None),
        (report(100, finding("info", "silent_source")), report(100), {}, "not all sources report"),
        (report(100, finding("info", "silent_source")), report(100), {"all_sources": False}, None),
    ],
)
def test_automatic_approval_has_limits(now: Report, before: Report | None, limits: Any, reason: str | None) -> None:
    given = LIMITS.model_copy(update=limits)
    found = needs_a_person(now, before, by(("month-end", drafted())), given)
    assert found == [] if reason is None else len(found) == 1 and reason in found[0]


@pytest.mark.parametrize("act", [ADJUSTED, WAIVED])
def test_what_a_person_changed_another_person_approves(act: Adjusted | Waived) -> None:
    life = by(("month-end", drafted()), ("alice", act), ("month-end", drafted(1, 2)))
    assert needs_a_person(report(100), report(100), life, LIMITS) == ["alice adjusted or waived something in it"]


@pytest.mark.parametrize(
    ("life", "findings", "seal", "step"),
    [
        (life_of(), [], 0, "rollcall close 2026-10"),
        (life_of(), [], 1, "rollcall report draft 2026-10"),
        (life_of(drafted()), [], 1, "rollcall report approve 2026-10"),
        (life_of(drafted()), [], 2, "rollcall report draft 2026-10"),
        (life_of(drafted(), ADJUSTED), [], 1, "rollcall report draft 2026-10"),
        (
            life_of(drafted()), [finding("blocking")], 1,
            "rollcall report waive 2026-10 variance:x --reason REASON --text TEXT",
        ),
        (life_of(drafted()), [finding("blocking", waived=WAIVER)], 1, "rollcall report approve 2026-10"),
        (life_of(drafted(), approved()), [], 1, "rollcall report submit 2026-10 --by-hand"),
        (life_of(*UNKNOWN), [], 1, "rollcall report resolve 2026-10 --arrived --note TEXT (or --not-arrived)"),
        (life_of(*SENT), [], 1, "rollcall report receipt 2026-10 --accepted NUMBER"),
        (life_of(*SENT, REFUSAL), [], 1, "rollcall report draft 2026-10"),
        (life_of(*SENT, RECEIPT), [], 2, "rollcall report draft 2026-10"),
        (life_of(*SENT, RECEIPT), [], 1, "nothing is left to do; rollcall report bundle 2026-10 packs the evidence"),
    ],
)  # fmt: skip
def test_every_state_has_a_next_command(life: Life, findings: list[Finding], seal: int, step: str) -> None:
    newest = report(1, *findings) if life.newest else None
    assert next_step(life, newest, AGREEMENT, seal) == step


def test_the_next_command_names_the_agreement_where_it_must() -> None:
    assert next_step(life_of(drafted()), report(1), AGREEMENT, 1, several=True).endswith(" --agreement acme")
    sent = AGREEMENT.model_copy(update={"submission": FolderSubmission(by="folder", folder="out")})
    assert next_step(life_of(drafted(), approved()), report(1), sent, 1) == "rollcall report submit 2026-10"
    signed = agreed(by="ssh-signature")
    assert next_step(life_of(drafted()), report(1), signed, 1).endswith("approve 2026-10 --sign-with KEYFILE")
