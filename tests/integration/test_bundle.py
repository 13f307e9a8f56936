"""The bundle of a closed, signed, approved month, checked with exactly the commands of its README and no Rollcall."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from console.main import main
from infra.errors import CheckFailed
from infra.generation import Generation, put_in_force
from stream_jobs.month_close.aliases.components import link
from stream_jobs.month_close.aliases.ledger import ALWAYS, NEVER, Act, append
from stream_jobs.month_close.barrier import Waiting
from stream_jobs.month_close.bundle.make import make_bundle
from stream_jobs.month_close.close import close_month
from stream_jobs.month_close.report import draft as drafting
from stream_jobs.month_close.report.act import adjust
from stream_jobs.month_close.report.approve import approve
from stream_jobs.month_close.seal import newest_seal
from tests.integration.closing import OCTOBER, Login, World
from tests.integration.command import environment

ALICE = "alice@provider.example"
AT = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
SEPTEMBER = date(2026, 9, 1)
CATALOGUE = """
# u1 is the boss
programmes: {{csp: {{time_zone: Asia/Tokyo}}}}
tenants:
  - {{id: "a/b:c+d", name: 'A "quoted", {{Ltd}} 株式会社'}}
  - {{id: a, name: A}}
  - {{id: A, name: the other A}}
skus:
  - {{id: S1, name: one, programme: csp, family: f, deployment: cloud}}
  - {{id: "S/1:x+y", name: two, programme: csp, family: f, deployment: cloud}}
free_users:
  - {{tenant: a, subject: u1, reason: own-staff}}
rules:
  - {{id: minimum, kind: family_minimum, valid_from: 2026-10, source: a page, action: add_line}}
agreements:
  - id: east/1
    programme: csp
    partner: {{name: Provider}}
    distributor: {{name: Distributor}}
    contract_date: 2026-01-01
    approval: {{by: ssh-signature, approvers: [{alice}], allowed_signers: ['{alice} {options}{key}']}}
"""
LOGINS = [
    *(Login("a/b:c+d", "S/1:x+y", f"v{i}") for i in range(7)), *(Login("a", "S1", f"u{i}") for i in range(5)),
    *(Login("A", "S1", f"w{i}") for i in range(3)),
]  # fmt: skip

W0_W1 = sorted(login.subject for login in LOGINS if login.user in ("w0", "w1"))
"""Of one person: the first is counted."""


@pytest.fixture
def world(make_settings: Callable[..., Any], tmp_path: Path) -> World:
    """October has logins, of whom a's u1 is free; September has none. Nothing is closed yet."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    key = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    options = 'valid-after="20200101" '
    world = World(make_settings(CATALOGUE.format(alice=ALICE, key=key, options=options), kafka={"partitions": 1}))
    world.client.insert(
        "subject_names", [[login.tenant, login.subject, login.user] for login in LOGINS],
        column_names=["tenant", "subject", "name"],
    )  # fmt: skip
    world.push(*LOGINS)
    append(world.client, [Act("accepted", "A", link(*W0_W1), ALWAYS, NEVER, "a list", "one person", "bob", AT)])
    return world


def approved(world: World, tmp_path: Path, month: date) -> None:
    close_month(
        world.settings, month, agreement="east/1", tell=print, waiting=Waiting(5.0), work=lambda: world.read_on()
    )
    drafting.draft(world.settings, world.client, month, "east/1", actor="bob", at=AT)
    if month == OCTOBER:
        adjust(
            world.settings, world.client, month, "east/1", tenant="a", sku="S1", quantity=-2, reason="credit",
            text="as agreed", actor="bob", at=AT,
        )  # fmt: skip
    approve(world.settings, world.client, month, "east/1", at=AT, sign_with=tmp_path / "key")


def made(world: World, file: Path, month: date = OCTOBER, **more: Any) -> Path:
    make_bundle(world.settings, world.client, month, "east/1", 1, file, **more)
    return file


def unzipped(file: Path) -> Path:
    folder = file.with_suffix("")
    subprocess.run(["unzip", "-q", file, "-d", folder], check=True)
    return folder


def commands(folder: Path) -> str:
    return "\n".join(line for line in (folder / "README.txt").read_text().splitlines() if line.startswith("    "))


def check(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", "bash", "-e"], input=script, cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def holds(folder: Path) -> None:
    done = check(folder, commands(folder))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.splitlines()[-1] == "everything holds"
    assert ALICE in done.stdout


def test_a_bundle_is_checked_with_nothing_but_its_readme(world: World, tmp_path: Path) -> None:
    approved(world, tmp_path, OCTOBER)
    file = made(world, tmp_path / "one.zip")
    assert made(world, tmp_path / "two.zip").read_bytes() == file.read_bytes()
    folder = unzipped(file)
    holds(folder)
    script = commands(folder)

    with (folder / "counts.csv").open() as lines:
        cells = {(row["tenant"], row["sku"]): row for row in csv.DictReader(lines)}
    assert {cell: int(row["count"]) for cell, row in cells.items()} == {
        ("a/b:c+d", "S/1:x+y"): 7, ("a", "S1"): 4, ("A", "S1"): 2,
    }  # fmt: skip
    counted = {
        (*cell, bytes.fromhex(line))
        for cell, row in cells.items() for line in (folder / row["file"]).read_text().split()
    }
    free = Login("a", "S1", "u1")
    assert counted == {(x.tenant, x.sku, x.subject) for x in LOGINS} - {
        ("a", "S1", free.subject), ("A", "S1", W0_W1[1]),
    }  # fmt: skip
    assert (folder / "aliases.csv").read_text().splitlines() == [
        "tenant,subject,other", f"A,{W0_W1[0].hex()},{W0_W1[1].hex()}",
    ]  # fmt: skip
    assert (folder / "left_out.csv").read_text().splitlines()[1:] == [f"a,S1,{free.subject.hex()},free,own-staff"]
    seal = newest_seal(world.client, OCTOBER, "east/1")
    assert seal is not None
    assert hashlib.sha256((folder / "digests.txt").read_bytes()).hexdigest() == seal.digest
    assert seal.alias_versions.keys() == {"A"}
    assert json.loads((folder / "seal.json").read_bytes())["alias_versions"] == seal.alias_versions

    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"boss" not in everything
    assert b"subject: u1" not in everything

    for member in sorted(path for path in folder.rglob("*") if path.is_file()):
        before = member.read_bytes()
        for place in {len(before) // 2} | ({0, 65, len(before) - 1} if member.name == "MANIFEST.sha256" else set()):
            member.write_bytes(before[:place] + bytes([before[place] ^ 0x20]) + before[place + 1 :])
            assert check(folder, script).returncode != 0, f"{member.name} was changed at {place}, and nothing says so"
        member.write_bytes(before)
    (folder / "subjects" / "more.txt").write_text("")
    assert "does not list exactly" in check(folder, script).stderr
    (folder / "subjects" / "more.txt").unlink()

    # Changed with its manifest: what is bound to the rest still shows it.
    for name, (old, new) in {
        "report.json": (b'"revision":1', b'"revision":2'), "counts.csv": (b",7,", b",8,"),
        "digests.txt": (b",7,", b",8,"), cells["a", "S1"]["file"]: (b"a", b"b"), "left_out.csv": (b"a,S1", b"a,S1\n"),
        "ledger.jsonl": (b'"draft":2', b'"draft":3'), "approval/statement": (b"draft 2", b"draft 3"),
        "approval/statement.sig": (b"U1NIU0lH", b"U1NIU0lI"), "approval/allowed_signers": (b"alice", b"alicf"),
    }.items():  # fmt: skip
        before = (folder / name).read_bytes()
        assert old in before
        (folder / name).write_bytes(before.replace(old, new))
        manifest_anew(folder)
        assert check(folder, script).returncode != 0, f"{name} was changed with its manifest, and nothing says so"
        (folder / name).write_bytes(before)
    manifest_anew(folder)
    holds(folder)


def test_a_zero_report_names_rebuilds_and_a_set_that_is_not_the_seals(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(world.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["report", "bundle", *arguments])
        captured = capsys.readouterr()
        assert not ended.value.code, captured.err
        return captured.err

    approved(world, tmp_path, SEPTEMBER)
    run("2026-09")
    folder = unzipped(tmp_path / "rollcall-east%2F1-2026-09-r1.zip")
    holds(folder)
    assert (folder / "digests.txt").read_bytes() == b""

    approved(world, tmp_path, OCTOBER)
    voids = '[{"source":"/x","from":"2026-10-05T01:00:00Z","to":"2026-10-05T02:00:00Z","reason":"a load test"}]'
    put_in_force(world.client, Generation(number=1, month=OCTOBER, voids=voids, reason="a bad hour", actor="bob"))
    said = run("2026-10", "--names", "--output", "named.zip")
    folder = unzipped(tmp_path / "named.zip")
    holds(folder)
    assert hashlib.sha256((folder / "MANIFEST.sha256").read_bytes()).hexdigest() in said
    with (folder / "names.csv").open() as lines:
        assert {tuple(row.values()) for row in csv.DictReader(lines)} == {
            (x.tenant, x.sku, x.subject.hex(), x.user) for x in LOGINS if x.subject != W0_W1[1]
        }  # fmt: skip
    assert "u1 is the boss" in (folder / "catalogue.yaml").read_text(), "with names the catalogue is as stored"
    assert '"reason": "a load test"' in (folder / "rebuilds.jsonl").read_text()

    before, there = (tmp_path / "named.zip").read_bytes(), sorted(tmp_path.iterdir())
    for login, what in ((LOGINS[-1], "the digest"), (Login("a", "S1", "u1"), "those left out")):
        twice = "INSERT INTO seal_subjects SELECT * FROM seal_subjects WHERE subject = unhex(%(subject)s)"
        world.client.command(twice, parameters={"subject": login.subject.hex()})
        with pytest.raises(CheckFailed, match=f"does not give {what} of seal revision 1"):
            made(world, tmp_path / "named.zip")
        assert ((tmp_path / "named.zip").read_bytes(), sorted(tmp_path.iterdir())) == (before, there)


def manifest_anew(folder: Path) -> None:
    with (folder / "MANIFEST.sha256").open("w") as out:
        subprocess.run(
            ["bash", "-c", "find . -type f ! -name MANIFEST.sha256 -exec sha256sum {} + | LC_ALL=C sort -k 2"],
            cwd=folder, stdout=out, check=True,
        )  # fmt: skip
