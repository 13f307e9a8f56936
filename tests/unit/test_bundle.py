"""What a bundle is made of: names of files, tables, the zip, the README and its commands."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast
from zipfile import ZipFile

import hypothesis
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from infra.generation import Generation
from schemas.catalogue import parse_catalogue
from schemas.close import SealedCount
from schemas.report import Report
from schemas.settings import Settings
from stream_jobs.month_close.bundle.checks import checks
from stream_jobs.month_close.bundle.pack import MANIFEST, Pack, manifest, replacing
from stream_jobs.month_close.bundle.readme import INDENT, Contents, readme
from stream_jobs.month_close.bundle.sets import Named, Piece, names, reads
from stream_jobs.month_close.bundle.tables import (
    LEFT_OUT,
    counts_csv,
    digest_lines,
    header,
    left_out_rows,
    names_rows,
    rebuild_line,
    subject_files,
)
from stream_jobs.month_close.bundle.withheld import without_people
from stream_jobs.month_close.digest import cell_digest, seal_digest
from stream_jobs.month_close.report.life import Revision
from tests.unit import report_basis
from tests.unit.report_basis import adjusted, catalogue, report, rule

AT = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
IDS = st.sampled_from(["a", "A", "a/b", "a:b", "a+b", "a.b", "a-b", "a_b", "0", "a" * 128, "/".join("a" * 64)])
CELL = st.tuples(IDS, IDS)
FEW = hypothesis.settings(max_examples=40)
DRAFT = Revision(
    number=1, state="draft", draft=1, report="0" * 64, seal_revision=1, seal_digest=report_basis.DIGEST, reason="r",
    prepared_by="bob", prepared_at=AT, opened_at=AT, place=1,
)  # fmt: skip
APPROVED = replace(DRAFT, state="approved", approved_by="alice", approved_at=AT, approved_how="os-user")
SIGNED = replace(
    APPROVED, approved_by="it's alice", approved_how="ssh-signature", statement="s", signature="g",
    allowed_signers=('alice valid-before="20270101" ssh-ed25519 AAAA',),
)  # fmt: skip


def sealed(*cells: tuple[str, str]) -> list[SealedCount]:
    return [
        SealedCount(tenant=t, sku=s, active_users=i, digest=cell_digest(bytes([n]) * 16 for n in range(i)))
        for i, (t, s) in enumerate(cells, start=1)
    ]


@FEW
@given(st.dictionaries(CELL, st.integers(1, 2000), max_size=8), st.integers(20, 3000))
def test_reads_cover_each_subject_once_in_order_and_are_bounded(sizes: dict[tuple[str, str], int], most: int) -> None:
    found = list(reads(sizes, most))
    covered: Counter[tuple[tuple[str, str], int]] = Counter(
        (cell, byte) for read in found for cell in read.cells for byte in range(read.first, read.last + 1)
    )
    assert covered == Counter((cell, byte) for cell in sizes for byte in range(256))
    places = [(cell, read.first) for read in found for cell in read.cells]
    assert places == sorted(places)
    for read in found:
        assert sum(sizes[cell] for cell in read.cells) <= most or len(read.cells) == 1
        if len(read.cells) == 1 and sizes[read.cells[0]] > most:
            assert read.last - read.first + 1 <= -(-256 * most // sizes[read.cells[0]]) + 1


@FEW
@given(st.sets(CELL, max_size=8))
def test_files_of_subjects_are_told_apart_and_safe_on_any_file_system(cells: set[tuple[str, str]]) -> None:
    files = subject_files(sealed(*cells))
    assert files.keys() == cells
    assert len({name.casefold() for name in files.values()}) == len(cells)
    for name in files.values():
        folder, _, last = name.partition("/")
        assert (folder, last.isascii(), last[:4].isdigit(), last[-4:]) == ("subjects", True, True, ".txt")
        assert len(last) < 128
        assert not set(last) & set('/\\:+*?"<>| ')


@FEW
@given(st.sets(CELL, max_size=8))
def test_digest_lines_give_the_digest_of_the_seal_and_are_columns_of_the_counts(cells: set[tuple[str, str]]) -> None:
    counts = sealed(*cells)
    lines = digest_lines(counts)
    assert hashlib.sha256(lines).hexdigest() == seal_digest(counts)
    columns = [line.rpartition(",")[0] for line in counts_csv(counts, subject_files(counts)).decode().splitlines()[1:]]
    assert sorted(columns) == sorted(lines.decode().splitlines())


def test_rows_of_who_is_left_out_of_names_and_of_rebuilds() -> None:
    a, b = "0a" * 16, "0b" * 16
    assert left_out_rows(Piece("t", "S", "excluded:own-testing", f"{a}\n{b}\n")) == (
        f"t,S,{a},excluded,own-testing\nt,S,{b},excluded,own-testing\n".encode()
    )
    assert left_out_rows(Piece("t", "S", "trial", f"{a}\n")) == f"t,S,{a},trial,\n".encode()
    assert names_rows([Named("t", "S", a, '=cmd,"x"'), Named("t", "S", b, "")]).decode().splitlines() == [
        f't,S,{a},"\'=cmd,""x"""', f"t,S,{b},",
    ]  # fmt: skip
    voids = '[{"source":"/x","reason":"a load test"}]'
    generation = Generation(2, "active_users_g2", date(2026, 10, 1), 3, {0: 7}, voids, "why", "bob")
    facts = json.loads(rebuild_line(generation))
    assert (facts["month"], facts["voids"][0]["reason"], facts["catalogue_version"]) == ("2026-10-01", "a load test", 3)


class Denied:
    """A server that does not let this account read names."""

    database = "rollcall"

    def query(self, text: str, **_: object) -> None:
        raise DatabaseError(f"Code: 497. DB::Exception: Not enough privileges, for {text}")


def test_who_may_not_read_names_is_told_the_grant() -> None:
    found = names(Settings().clickhouse, cast(Client, Denied()), report_basis.seal({}), {("a", "S1"): 1})
    with pytest.raises(ConfigurationError, match=r"does not let this account read names.*GRANT rollcall_names"):
        next(found)


def packed(*members: tuple[str, bytes]) -> tuple[bytes, str]:
    out = io.BytesIO()
    with Pack(out) as pack:
        for name, content in members:
            with pack.member(name) as member:
                for i in range(0, len(content), 3):
                    member.write(content[i : i + 3])
            assert member.sha256 == hashlib.sha256(content).hexdigest()
        digest = pack.finish()
    return out.getvalue(), digest


def test_the_same_members_give_the_same_zip_with_a_manifest_that_sha256sum_reads(tmp_path: Path) -> None:
    members = [("b.txt", b"second\n"), ("a/1.txt", b"\n"), ("a/B.txt", b""), ("C.txt", b"third")]
    content, digest = packed(*members)
    assert packed(*members) == (content, digest)
    with ZipFile(io.BytesIO(content)) as found:
        assert found.namelist() == [*(name for name, _ in members), MANIFEST]
        assert {info.date_time for info in found.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert hashlib.sha256(found.read(MANIFEST)).hexdigest() == digest
        found.extractall(tmp_path)
    told = subprocess.run(
        f"find . -type f ! -name {MANIFEST} -exec sha256sum {{}} + | LC_ALL=C sort -k 2", shell=True, cwd=tmp_path,
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert told == (tmp_path / MANIFEST).read_bytes()
    assert manifest({}) == b""
    with pytest.raises(ValueError, match="already"):
        packed(("one", b""), ("one", b""))


def test_a_file_is_replaced_when_all_went_well_and_only_then(tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(b"before")
    half: list[bytes] = [b"half"]
    with pytest.raises(IndexError), replacing(file) as out:
        out.writelines(half.pop() for _ in range(2))
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"before", [file])
    with replacing(file) as out:
        out.write(b"after")
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"after", [file])


CATALOGUE = """
# boss@a.example asked for this
programmes: {csp: {time_zone: Asia/Tokyo}}
tenants: [{id: a, name: Küche & Söhne}]
skus: [{id: S1, name: one, programme: csp, family: f, deployment: cloud, valid_from: 2026-01}]
"""
PEOPLE = """
exclusions:
  - {tenant: a, subject: boss@a.example, reason: administration, valid_from: 2026-01-05}
  - {tenant: a, pattern: "boss*", reason: administration}  # the boss
free_users:
  - {tenant: a, subject: boss@a.example, reason: own-staff, valid_to: 2026-01-05}
  - {tenant: a, subject: boss@b.example, reason: own-staff}
aliases:
  - {tenant: a, same: [boss@a.example, "A\\\\boss"], reason: one person}
"""


def test_people_that_a_catalogue_names_are_withheld_and_nothing_else() -> None:
    assert without_people(CATALOGUE) == (CATALOGUE, 0)
    text, count = without_people(CATALOGUE + PEOPLE)
    assert (count, "boss" in text) == (6, False)
    before, after = parse_catalogue(CATALOGUE + PEOPLE), parse_catalogue(text)
    lists = {"exclusions", "free_users", "aliases"}
    assert after.model_dump(exclude=lists) == before.model_dump(exclude=lists)
    naming, entries = {"subject", "pattern"}, [*after.exclusions, *after.free_users]
    for one, other in zip([*before.exclusions, *before.free_users], entries, strict=True):
        assert other.model_dump(exclude=naming) == one.model_dump(exclude=naming)
    told = [(entry.subject, entry.pattern) for entry in entries]
    assert told == [("(withheld 1)", None), (None, "(withheld 2)"), ("(withheld 1)", None), ("(withheld 3)", None)]
    assert [alias.same for alias in after.aliases] == [["(withheld 1)", "(withheld 4)"]]


@pytest.mark.parametrize("revision", [DRAFT, APPROVED, SIGNED], ids=["draft", "os-user", "ssh-signature"])
@pytest.mark.parametrize("more", [{}, {"withheld": 3}, {"names": True, "rebuilt": True, "linked": True}])
def test_the_lines_with_four_spaces_are_the_checks_and_a_script(revision: Revision, more: dict[str, Any]) -> None:
    made = report({("a", "S1"): 3})
    text = readme(Contents(made, revision, "east.zip", "f" * 64, **more))
    script = [line for line in text.splitlines() if line.startswith(INDENT)]
    steps = [commands for _, commands in checks(made, revision)]
    assert script == [*"\n".join(steps).splitlines(), f'{INDENT}echo "everything holds"']
    assert len(steps) == {"": 5, "os-user": 6, "ssh-signature": 7}[revision.approved_how]
    done = subprocess.run(["bash", "-n"], input="\n".join(script), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, text.splitlines())) <= 120
    assert ("by nobody" in text) == (revision is DRAFT)
    assert ("NAMES PEOPLE" in text) == bool(more.get("names"))
    assert ("not signed" in text) == (revision is APPROVED)
    assert ("aliases.csv " in text) == bool(more.get("linked"))
    assert ("f" * 64 in text) == bool(more.get("withheld"))


def test_a_signature_is_asked_about_the_time_of_the_approval_where_a_key_is_allowed_for_a_time() -> None:
    made = report({})
    [*_, (_, commands)] = checks(made, SIGNED)
    assert "TZ=UTC0 ssh-keygen -Y verify -n rollcall-approval -O verify-time=20261103090000 " in commands
    assert """ -I 'it'"'"'s alice' """ in commands
    [*_, (_, commands)] = checks(made, replace(SIGNED, allowed_signers=("alice ssh-ed25519 AAAA",)))
    assert "verify-time" not in commands


ODD = [{"id": t, "name": n} for t, n in (("a", 'A "quoted", {Ltd}\\'), ("b", '"sku":"S1"'), ("c/d:e+f", "株式会社"))]
REPORTS = {
    "zero": report({}),
    "plain": report({("a", "S1"): 3, ("b", "S2"): 1}),
    "left out": report({("a", "S1"): 3}, left_out=[("a", "S1", "excluded", 2), ("b", "S1", "free", 4)]),
    "adjusted": report({("a", "S1"): 3}, adjustments=(adjusted("a", "S1", -3), adjusted("b", "S2", 2, place=2))),
    "credit": report({}, adjustments=(adjusted("a", "S1", -3),)),
    "shortfall": report(
        {("a", "S1"): 3}, of=catalogue(rules=[rule("family_minimum", action="add_line")])
    ),
    "odd names": report({("a", "S1"): 3, ("b", "S1"): 2, ("c/d:e+f", "S2"): 1}, of=catalogue(tenants=ODD)),
}  # fmt: skip


def numbers_hold(made: Report, folder: Path, **changes: bytes) -> str:
    """Runs the check of the report's numbers; what it says."""
    counted = [(line.tenant, line.sku, line.measured - line.excluded - line.trial - line.free) for line in made.lines]
    out = sum(line.excluded + line.trial + line.free for line in made.lines)
    files = {
        "report": made.to_json(), "digests": "".join(f"{t},{s},{n},x\n" for t, s, n in counted if n).encode(),
        "left_out": header(LEFT_OUT) + b"row\n" * out, **changes,
    }  # fmt: skip
    for name, ending in (("report", "json"), ("digests", "txt"), ("left_out", "csv")):
        (folder / f"{name}.{ending}").write_bytes(files[name])
    title, commands = list(checks(made, DRAFT))[3]
    assert title.startswith("The report counts what the seal does")
    script = f'export LC_ALL=C\nfail() {{ echo "FAILED: $*"; return 1; }}\n{commands}\necho holds\n'
    return subprocess.run(
        ["bash", "-e"], input=script, cwd=folder, text=True, capture_output=True, check=False
    ).stdout.strip()


@pytest.mark.parametrize("made", REPORTS.values(), ids=REPORTS)
def test_the_reports_numbers_are_recounted_from_its_text(made: Report, tmp_path: Path) -> None:
    assert numbers_hold(made, tmp_path) == "holds"
    assert "other counts" in numbers_hold(made, tmp_path, digests=b"z,Z,1,x\n")
    assert "left_out.csv" in numbers_hold(made, tmp_path, left_out=b"")
    raw = made.to_json()
    start = raw.index(b'"reported":', raw.index(b'"total":')) + len(b'"reported":')
    assert "total" in numbers_hold(made, tmp_path, report=raw[:start] + b"9" + raw[start:])
    if made.lines:
        start = raw.index(b'"adjusted":') + len(b'"adjusted":')
        other = raw[:start] + b"77" + raw[raw.index(b",", start) :]
        assert "does not add up" in numbers_hold(made, tmp_path, report=other)
