"""The year of a simulated provider, hour by hour, ends with exactly the reports that an independent oracle computes.

Three agreements in three zones, forty tenants; trials, exclusions, a SKU that ends in June, rules that change in
September, late logins every month, a month without any, a rejected report, a correction. Every command that does
something may be killed with -9 on its way, and most are.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.settings import Settings
from stream_jobs.month_close.unattended.run import month_end_of
from tests.receivers import LOOPBACK, SECRET
from tests.year import compare, people, provider
from tests.year.commands import Commands
from tests.year.distributor import MAILBOX, Distributors, distributors
from tests.year.oracle import Expected, Oracle, Seen
from tests.year.walk import Walk
from tests.year.world import world_of

SEED = 2024


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The approver's."""
    file = tmp_path / "approver"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


def agreements(outside: Distributors, key: Path) -> dict[str, dict[str, Any]]:
    """How each is approved and sent."""
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    return {
        "jp-2024": {
            "approval": {"automatic": {"variance_percent": 40, "highest_severity": "warning"}},
            "submission": {"by": "folder", "folder": str(outside.folder)},
        },
        "nl-2024": {
            "tenants": [provider.tenant(n) for n in (*range(15, 28), 40)],
            "approval": {"by": "ssh-signature", "allowed_signers": [f"approver@provider.example {public}"]},
            "submission": {"by": "https", "url": outside.https.url(), "receipts": outside.https.url("/receipts")},
        },
        "us-2024": {
            "approval": {"by": "os-user", "four_eyes": False}, "submission": {"by": "email", "to": [MAILBOX]},
        },
    }  # fmt: skip


def expected_of(oracle: Oracle, plan: people.Plan) -> dict[compare.Name, Expected]:
    found: dict[compare.Name, Expected] = {}
    for agreement, month, revision, approved, _ in sorted(plan.approvals, key=lambda a: a.revision):
        known = oracle.counted_at(agreement, month, approved)
        if ((agreement, month), revision) == (provider.CORRECTED, 2):
            known = approved  # counted as soon as the late logins were seen
        signed = [people.ADJUSTED] if ((agreement, month), revision) == (provider.REJECTED, 2) else []
        before = found.get((agreement, month, revision - 1))
        found[agreement, month, revision] = oracle.report(agreement, month, revision, known, signed, before)
    return found


def test_a_year(make_settings: Callable[..., Settings], tmp_path: Path, key: Path) -> None:
    with distributors(tmp_path / "outbox") as outside:
        catalogue = provider.catalogue(agreements(outside, key))
        settings = make_settings(
            catalogue, kafka={"partitions": 2}, submit={"secret": SECRET}, close={"deadline_seconds": 60},
            smtp={"host": LOOPBACK, "port": outside.mail.port, "security": "none"},
        )
        arrivals = provider.arrivals(SEED)
        seen = [Seen(a.hour, x.time, x.source, x.subject, x.tenant, x.sku) for a in arrivals for x in a.logins]
        oracle = Oracle(catalogue, seen)
        plan = people.plan(oracle)
        secret = {"ROLLCALL_SUBMIT_SECRET": SECRET}
        with world_of(settings, tmp_path, **secret) as world, Commands(settings, tmp_path, **secret) as commands:
            month_end = month_end_of(settings, world.client, tell=lambda sentence: None)
            persons = people.People(settings, world.client, outside, key)
            walk = Walk(world, month_end, commands, persons, plan, random.Random(SEED))
            walk.go(arrivals)
            reports, lives = compare.sent_reports(world.client), compare.lives(world.client)
        delivered = Counter(outside.delivered())
        notices = outside.notices

    print(walk.journal)
    # No report missing, none twice, every line equal.
    expected = expected_of(oracle, plan)
    assert sorted(reports) == sorted(expected)
    faults = {name: list(compare.faults(reports[name], expected[name])) for name in expected}
    assert {name: found for name, found in faults.items() if found} == {}
    approved = {(a.agreement, a.month, a.revision): a.hour for a in plan.approvals}
    for (agreement, month), life in lives.items():
        assert len(life.revisions) == sum(name[:2] == (agreement, month) for name in expected)
        assert life.revisions[-1].state in ("submitted", "acknowledged")
        for revision in life.revisions:
            assert compare.accepted(revision) == 1
            hour = approved[agreement, month, revision.number]
            assert revision.approved_at == hour
            # An attempt that was killed is looked at in the next hour; a mail in doubt waits for a person's word.
            late = timedelta(hours=4 if agreement == "us-2024" else 2)
            assert revision.submitted_at is not None
            assert hour <= revision.submitted_at < hour + late
    # The distributors hold each of them once, to the byte.
    assert Counter(d.sha256 for d in delivered.elements()) == Counter(r.sha256 for r in reports.values())
    # Who was late was told, and said to be.
    assert walk.journal.overdue == {(people.TOO_LATE[0], f"{people.TOO_LATE[1]:%Y-%m}")}
    assert {subject.split(":")[0] for _, subject in notices} >= {"Reminder", "Time runs out", "Overdue"}
    assert walk.journal.killed > 20
