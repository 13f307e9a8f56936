"""The life of reports on real ClickHouse: one of two wins, crashes lose nothing, what is stored is what is approved."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from console.main import main
from examples.forms.order_form import FILE
from infra import catalogue
from infra.errors import CheckFailed, ConfigurationError
from schemas.ledger import Acknowledged, Act, Attempted, Ended, Notified, Rejected
from schemas.report import Report
from stream_jobs.month_close.barrier import Waiting
from stream_jobs.month_close.close import close_month
from stream_jobs.month_close.report import draft as drafting
from stream_jobs.month_close.report.act import adjust, give_back, record, waive
from stream_jobs.month_close.report.approve import Signature, approve, statement
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.listing import list_reports
from stream_jobs.month_close.report.store import get_report
from stream_jobs.month_close.report.who import account
from tests.integration.closing import CATALOGUE, OCTOBER, Login, World
from tests.integration.command import environment

ALICE = "alice@provider.example"
AT = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
FIRST = [Login("a", "S1", f"u{i}") for i in range(5)] + [Login("b", "S2", f"v{i}") for i in range(3)]
AGREEMENTS = """
agreements:
  - id: acme
    programme: csp
    partner: {name: Provider}
    distributor: {name: Distributor}
    contract_date: 2026-01-01
    approval: {by: os-user, four_eyes: false}
"""

RULES = """
rules:
  - {id: set-aside, kind: set_aside, valid_from: 2026-01, source: our own}
  - {id: arriving, kind: arriving, valid_from: 2026-01, source: our own}
"""


@pytest.fixture
def world(make_settings: Callable[..., Any]) -> World:
    """October closed once for acme: a S1 has 5, b S2 has 3."""
    world = World(make_settings(CATALOGUE + AGREEMENTS, kafka={"partitions": 1}))
    world.push(*FIRST)
    close(world)
    return world


def close(world: World) -> None:
    close_month(
        world.settings, OCTOBER, agreement="acme", tell=print, waiting=Waiting(5.0), work=lambda: world.read_on()
    )


def draft(world: World, actor: str = "alice", reason: str = "") -> Report:
    return drafting.draft(world.settings, world.client, OCTOBER, "acme", actor=actor, at=AT, reason=reason)


def ledger(world: World) -> Ledger:
    return Ledger(world.client, "acme", OCTOBER)


def send(world: World, answer: Act | None = None) -> None:
    """By hand, and answered."""
    books, agreed = ledger(world), agreement_now(world.client, "acme", OCTOBER)
    newest = books.life().newest
    assert newest is not None
    number = len(newest.attempts) + 1
    for act in (
        Attempted(revision=newest.number, attempt=number, transport="by-hand", target="portal", key="k"),
        Ended(revision=newest.number, attempt=number, outcome="accepted"),
        answer or Acknowledged(revision=newest.number, receipt="R-1"),
    ):
        record(books, act, actor="alice", at=AT, agreement=agreed)


def test_a_month_is_drafted_adjusted_approved_sent_and_corrected(world: World) -> None:
    first = draft(world)
    assert {(line.tenant, line.sku): line.reported for line in first.lines} == {("a", "S1"): 5, ("b", "S2"): 3}
    assert draft(world, "bob") == first
    assert ledger(world).life().places == 1

    second = adjust(
        world.settings, world.client, OCTOBER, "acme", tenant="a", sku="S1", quantity=-2, reason="credit",
        text="two test accounts", actor="alice", at=AT,
    )  # fmt: skip
    assert (second.draft, second.total.reported, second.total.adjusted) == (2, 6, -2)
    approve(world.settings, world.client, OCTOBER, "acme", at=AT, draft=2)
    assert draft(world) == second, "what is approved stays approved while it prints the same"
    send(world)

    assert draft(world) == second, "nothing changed: no correction"
    world.push(*[Login("a", "S1", f"late{i}") for i in range(4)])
    close(world)
    third = draft(world)
    assert third.correction is not None
    assert (third.revision, third.draft, third.correction.of_revision) == (2, 1, 1)
    assert [(d.tenant, d.sku, d.before, d.after) for d in third.correction.differences] == [("a", "S1", 3, 7)]
    assert "logins that arrived after close" in third.correction.reason
    assert draft(world) == third

    life = ledger(world).life()
    assert [r.state for r in life.revisions] == ["acknowledged", "draft"]
    assert life.in_force is life.revisions[0]
    for revision, report in zip(life.revisions, (second, third), strict=True):
        assert get_report(world.client, "acme", OCTOBER, revision.report) == report
    listed = [(r.revision, r.draft, r.state, r.reported) for r in list_reports(world.client) if r.agreement == "acme"]
    assert listed == [(1, 2, "acknowledged", 6), (2, 1, "draft", 10)]

    approve(world.settings, world.client, OCTOBER, "acme", at=AT)
    send(world)
    states(world, "superseded", "acknowledged")

    adjust(
        world.settings, world.client, OCTOBER, "acme", tenant="a", sku="S2", quantity=9, reason="other", text="nine",
        actor="alice", at=AT,
    )  # fmt: skip
    approve(world.settings, world.client, OCTOBER, "acme", at=AT)
    send(world, Rejected(revision=3, reason="no such customer"))
    states(world, "superseded", "acknowledged", "rejected")
    fourth = draft(world)
    assert fourth.correction is not None
    assert (fourth.revision, fourth.correction.of_revision) == (4, 2), "the distributor still holds revision 2"
    assert fourth.correction.reason == (
        "a S2 adjusted by +9 (other): nine; rejected by the distributor: no such customer"
    )


def states(world: World, *expected: str) -> None:
    """By the ledger and by the view."""
    assert tuple(r.state for r in ledger(world).life().revisions) == expected
    assert tuple(r.state for r in list_reports(world.client)) == expected


def test_of_many_that_write_at_one_place_exactly_one_wins(world: World) -> None:
    together, book = threading.Barrier(6), ledger(world)

    def write(number: int) -> str:
        together.wait()
        try:
            act = Notified(kind="reminder", key=f"k{number}", to=["alice"])
            book.append(act, actor=f"actor-{number}", at=AT, place=1)
        except CheckFailed as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(write, range(6)))
    [entry] = book.entries()
    assert told.count("") == 1
    assert entry.actor == f"actor-{told.index('')}"
    assert all(f"{entry.actor} sent a reminder" in sentence for sentence in told if sentence)
    with pytest.raises(CheckFailed, match="at the same time"):
        book.append(entry.act, actor="later", at=AT, place=1)


def test_of_two_processes_that_approve_at_once_exactly_one_does(world: World) -> None:
    draft(world)
    command = [sys.executable, "-m", "console.main", "report", "approve", "2026-10"]
    running = [
        subprocess.Popen(command, env=environment(world.settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=60)[1].decode(), process.returncode) for process in running]
    assert sorted(code for _, code in ended) == [0, 1], ended
    [told] = [text for text, code in ended if code == 1]
    assert "at the same time" in told or "approved already" in told
    approvals = [e.actor for e in ledger(world).entries() if e.act.action == "approved"]
    assert approvals == [account()]


def test_a_crash_between_report_and_ledger_or_act_and_draft_leaves_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", crash)
        with pytest.raises(KeyboardInterrupt):
            draft(world)
    assert ledger(world).entries() == []
    first = draft(world)
    assert stored(world) == 1

    def credit() -> Report:
        return adjust(
            world.settings, world.client, OCTOBER, "acme", tenant="b", sku="S2", quantity=1, reason="other",
            text="once", actor="alice", at=AT,
        )  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr("stream_jobs.month_close.report.act.draft", crash)
        with pytest.raises(KeyboardInterrupt):
            credit()
    with pytest.raises(CheckFailed, match="takes it in"):
        approve(world.settings, world.client, OCTOBER, "acme", at=AT)
    again = credit()
    assert (again.total.reported, again.draft) == (first.total.reported + 1, 2)
    assert credit().total.adjusted == 2, "a second one, behind the first's draft, is meant"


def stored(world: World) -> int:
    [[count]] = world.client.query("SELECT count() FROM reports").result_rows
    return int(count)


def test_what_cannot_be_is_refused_and_nothing_is_written(world: World) -> None:
    draft(world)

    def change(**given: Any) -> None:
        row = {"tenant": "a", "sku": "S1", "quantity": 1, "reason": "other", "text": "t"} | given
        adjust(world.settings, world.client, OCTOBER, "acme", actor="alice", at=AT, **row)

    with pytest.raises(CheckFailed, match="nothing was adjusted"):
        change(sku="NONE")
    with pytest.raises(CheckFailed, match="nothing was adjusted"):
        change(tenant="nobody")
    with pytest.raises(CheckFailed, match="nothing was adjusted"):
        change(sku="L1")
    with pytest.raises(ConfigurationError, match="the catalogue has credit"):
        change(reason="because")
    with pytest.raises(ConfigurationError, match="changes nothing"):
        change(quantity=0)
    with pytest.raises(ConfigurationError, match="say in words"):
        change(text="  ")
    with pytest.raises(ConfigurationError, match="has no finding"):
        waive(
            world.settings, world.client, OCTOBER, "acme", finding="x", reason="other", text="t", actor="a", at=AT
        )
    assert ledger(world).life().places == 1


def test_events_set_aside_block_until_they_are_waived_and_late_logins_show(make_settings: Callable[..., Any]) -> None:
    world = World(make_settings(CATALOGUE + AGREEMENTS + RULES, kafka={"partitions": 1}))
    world.push(*FIRST)
    close(world)
    october, november = datetime(2026, 10, 31, 14, 59, 59, tzinfo=UTC), datetime(2026, 10, 31, 15, 0, tzinfo=UTC)
    december = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)
    rows = [
        ["t", 0, 1, 0, (0, 1, "unknown_sku", ""), "/one", october, november],
        ["t", 0, 2, 0, (0, 1, "unknown_sku", ""), "/one", november, november],  # of November in Tokyo
        ["t", 0, 3, 0, (0, 2, "unknown_sku", ""), "/one", october, november],  # waived
        ["t", 0, 4, 0, (0, 1, "not_json", ""), "", None, november],
        ["t", 0, 5, 0, (0, 1, "not_json", ""), "", None, december],
    ]
    columns = ["topic_id", "partition", "offset", "place", "latest", "source", "event_time", "append_time"]
    world.client.insert("quarantine", rows, column_names=columns)
    first = draft(world)
    assert [(s.reason, s.source, s.events, s.of_month) for s in first.set_aside] == [
        ("not_json", "unknown", 1, "append"), ("unknown_sku", "/one", 1, "event"),
    ]  # fmt: skip
    assert len(first.findings) == 2
    second = first
    for finding in first.findings:
        with pytest.raises(CheckFailed, match=f"this blocks it:(.|\n)*{finding.id}: "):
            approve(world.settings, world.client, OCTOBER, "acme", at=AT)
        second = waive(
            world.settings, world.client, OCTOBER, "acme", finding=finding.id, reason="known-and-harmless", text="t",
            actor="bob", at=AT,
        )  # fmt: skip
    assert [f.blocks for f in second.findings] == [False, False]
    approve(world.settings, world.client, OCTOBER, "acme", at=AT)

    world.push(Login("a", "S1", "new"), Login("a", "S1", "u0"), Login("a", "L1", "of another agreement"))
    world.read_on()
    assert draft(world) == second, "it prints the same, so it stays approved"
    give_back(world.settings, world.client, OCTOBER, "acme", reason="late logins", actor="bob", at=AT)
    third = ledger(world).life().newest
    assert third is not None
    late = get_report(world.client, "acme", OCTOBER, third.report)
    [arriving] = [finding for finding in late.findings if not finding.waived]
    assert (arriving.kind, arriving.text.split()[0]) == ("arriving", "1")
    close(world)
    with pytest.raises(CheckFailed, match="there is a newer one"):
        approve(world.settings, world.client, OCTOBER, "acme", at=AT)


def test_a_purchase_order_changes_at_once_and_an_amended_rule_with_the_next_close(world: World) -> None:
    draft(world)
    approve(world.settings, world.client, OCTOBER, "acme", at=AT)
    send(world, Rejected(revision=1, reason="wrong purchase order"))
    mended = CATALOGUE + AGREEMENTS + "    purchase_order: PO-2\n"
    catalogue.apply(world.settings, world.client, mended)
    second = draft(world)
    assert (second.revision, second.purchase_order, second.seal.catalogue_version) == (2, "PO-2", 1)

    minimum = "  - {id: m, kind: family_minimum, quantity: 25, action: add_line, valid_from: 2026-01, source: x}\n"
    amended = mended + "rules:\n" + minimum
    with pytest.raises(CheckFailed, match="--amend REASON"):
        catalogue.apply(world.settings, world.client, amended)
    catalogue.apply(world.settings, world.client, amended, amend="the letter came late")
    assert draft(world) == second
    for _ in range(2):  # closed again it is the same seal
        close(world)
        third = draft(world)
        assert (third.seal.revision, third.seal.digest) == (2, second.seal.digest)
        assert (third.revision, third.draft, third.seal.catalogue_version, third.total.reported) == (2, 2, 3, 25)


def test_an_approval_is_taken_back_and_lapses_with_another_draft(world: World) -> None:
    draft(world)
    approve(world.settings, world.client, OCTOBER, "acme", at=AT)
    give_back(world.settings, world.client, OCTOBER, "acme", reason="wrong month", actor="bob", at=AT)
    assert ledger(world).life().state == "draft"
    approve(world.settings, world.client, OCTOBER, "acme", at=AT)
    world.push(Login("a", "S1", "new"))
    close(world)
    assert draft(world).draft == 2
    newest = ledger(world).life().newest
    assert newest is not None
    assert (newest.state, newest.approved_by) == ("draft", "")


def test_approval_by_ssh_signature_is_proved_now_and_again_from_the_ledger(
    make_settings: Callable[..., Any], tmp_path: Path
) -> None:
    keys = {}
    for name in ("alice", "mallory"):
        keys[name] = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys[name], "-C", name], check=True)
    public = " ".join(Path(f"{keys['alice']}.pub").read_text().split()[:2])
    signed = f"{{by: ssh-signature, approvers: [{ALICE}], allowed_signers: ['{ALICE} {public}']}}"
    text = CATALOGUE + AGREEMENTS.replace("{by: os-user, four_eyes: false}", signed)
    world = World(make_settings(text, kafka={"partitions": 1}))
    world.push(*FIRST)
    close(world)
    first = draft(world, "bob")
    to_sign = statement(world.settings, world.client, OCTOBER, "acme")
    assert to_sign.splitlines()[1:5] == ["agreement acme", "month 2026-10", "revision 1", "draft 1"]
    assert to_sign.endswith(f"seal {first.seal.digest}\nreport {first.sha256}\n")

    def say_yes(**how: Any) -> None:
        approve(world.settings, world.client, OCTOBER, "acme", at=AT, **how)

    with pytest.raises(ConfigurationError, match="--sign-with"):
        say_yes()
    with pytest.raises(CheckFailed, match="by no key of the agreement's"):
        say_yes(sign_with=keys["mallory"])
    file = tmp_path / "statement"
    file.write_text(to_sign.replace("draft 1", "draft 2"))
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "rollcall-approval", "-f", keys["alice"], file], check=True)
    with pytest.raises(CheckFailed, match="not one of alice@provider\\.example over this statement"):
        say_yes(signature=Signature(Path(f"{file}.sig").read_text(), ALICE))
    say_yes(sign_with=keys["alice"])

    newest = ledger(world).life().newest
    assert newest is not None
    assert (newest.approved_by, newest.approved_how) == (ALICE, "ssh-signature")
    (tmp_path / "allowed").write_text("\n".join(newest.allowed_signers) + "\n")
    (tmp_path / "sig").write_text(newest.signature)
    again = subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed", "-I", newest.approved_by, "-n", "rollcall-approval",
         "-s", tmp_path / "sig"], input=newest.statement.encode(), capture_output=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_the_command_leads_from_a_closed_month_to_an_approved_one(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, value in environment(world.settings).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["report", *arguments])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err.splitlines()[-1]

    approve_next = (0, "", "next: rollcall report approve 2026-10")
    assert run("show", "2026-10")[0] == 1
    assert run("draft", "2026-10") == approve_next
    assert run("adjust", "2026-10", "a", "S1", "-2", "--reason", "credit", "--text", "two of ours") == approve_next
    _, out, last = run("show", "2026-10", "--format", "csv")
    assert "a,A,S1,one,f,cloud,user,,5,0,0,0,-2,0,3" in out.splitlines()
    assert last == approve_next[2]
    _, out, last = run("show", "2026-10")
    assert "two of ours" in out
    assert last == approve_next[2]
    assert run("approve", "2026-10", "--draft", "1")[0] == 1
    assert run("approve", "2026-10", "--draft", "2") == (0, "", "next: rollcall report submit 2026-10 --by-hand")
    assert run("return", "2026-10", "--reason", "not yet") == approve_next
    _, out, _ = run("history", "2026-10", "--format", "csv")
    assert [line.split(",")[3] for line in out.splitlines()[1:]] == [
        "drafted", "adjusted", "drafted", "approved", "returned",
    ]  # fmt: skip
    assert run("diff", "2026-10")[0] == 1
    assert run("list")[2] == "next: rollcall report show 2026-10"

    with pytest.raises(SystemExit) as ended:
        main(["form", "fill", str(FILE), "2026-10", "--output", str(tmp_path / "filled.xlsx")])
    assert ended.value.code == 0
    assert capsys.readouterr().err.splitlines()[-1] == approve_next[2]
    order = CalamineWorkbook.from_path(tmp_path / "filled.xlsx").get_sheet_by_name("Order").to_python()
    assert [(row[1], row[4]) for row in order[11:13]] == [("S1", 3), ("S2", 3)]
