"""Makes the bundle of a report: everything that shows how its numbers came about, to be checked without Rollcall."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from clickhouse_connect.driver.client import Client

from infra.catalogue import stored_text
from infra.clickhouse.client import explained
from infra.errors import CheckFailed, ConfigurationError
from infra.generation import Generation, generations
from infra.lookups import Asker, keep
from schemas.calendar import month_name
from schemas.close import Seal
from schemas.ledger import Entry
from schemas.report import Report
from schemas.settings import Settings
from stream_jobs.month_close.bundle import sets, tables
from stream_jobs.month_close.bundle.pack import Pack, replacing
from stream_jobs.month_close.bundle.readme import FILE as README
from stream_jobs.month_close.bundle.readme import FORMS, Contents, readme
from stream_jobs.month_close.bundle.withheld import without_people
from stream_jobs.month_close.forms.render import render
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import Revision, read_life, standing
from stream_jobs.month_close.report.store import get_json
from stream_jobs.month_close.scope import Cell
from stream_jobs.month_close.seal import seals, sizes

_LINE, _ROW = 33, 512
"""Bytes of a pseudonym and its line feed, and of a row about somebody, at most roughly."""


@dataclass(frozen=True)
class Made:
    """What was written. `manifest` is the SHA-256 of MANIFEST.sha256, by which others can know the bundle."""

    revision: Revision
    subjects: int
    manifest: str
    withheld: int
    """How many names were taken out of the catalogue."""


@dataclass(frozen=True)
class _Evidence:
    report: Report
    stored: bytes
    revision: Revision
    entries: list[Entry]
    seal: Seal
    catalogue: str
    rebuilds: list[Generation]


def file_name(agreement: str, month: date, revision: int) -> str:
    """Such as rollcall-east-2026-10-r1.zip."""
    return f"rollcall-{quote(agreement, safe='')}-{month_name(month)}-r{revision}.zip"


def make_bundle(
    settings: Settings, client: Client, month: date, agreement: str, revision: int, file: Path, *,
    names: Asker | None = None,
) -> Made:  # fmt: skip
    """Writes the zip of the revision's newest draft; it stands in place of `file` once it is complete.

    The same evidence gives the same bytes. `names` asks that it says who the pseudonyms are, which is kept before they
    are read. Raises CheckFailed when the stored set is not the seal's, ConfigurationError when the file cannot be
    written, or names may not be read, or it cannot be kept that they are.
    """
    with explained(settings.clickhouse):
        evidence = _gather(client, month, agreement, revision)
    try:
        with replacing(file) as out, Pack(out) as pack:
            return _write(settings, client, evidence, pack, names=names)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}; name another, --output FILE") from None


def _gather(client: Client, month: date, agreement: str, number: int) -> _Evidence:
    entries = Ledger(client, agreement, month).entries()
    revision = read_life(agreement, month, entries).revision(number)
    if revision is None:
        raise CheckFailed(f"{agreement} {month_name(month)} has no revision {number}")
    stored = get_json(client, agreement, month, revision.report)
    report = Report.model_validate_json(stored)
    cited = report.seal
    seal = next((seal for seal in seals(client, month, agreement) if seal.revision == cited.revision), None)
    if seal is None or seal.digest != cited.digest:
        raise CheckFailed(
            f"seal revision {cited.revision} with digest {cited.digest}, which the report is made from, is not in the "
            "table seals: restore that table"
        )
    catalogue = stored_text(client, cited.catalogue_version)
    if catalogue is None:
        raise CheckFailed(
            f"catalogue version {cited.catalogue_version}, which the report is made by, is not stored: restore the "
            "table catalogue_versions"
        )
    rebuilds = [one for one in generations(client) if one.month == month and one.number <= cited.generation]
    return _Evidence(report, stored, revision, entries, seal, catalogue, rebuilds)


def _write(settings: Settings, client: Client, evidence: _Evidence, pack: Pack, *, names: Asker | None) -> Made:
    e, report, revision, seal = evidence, evidence.report, evidence.revision, evidence.seal
    catalogue, withheld = (e.catalogue, 0) if names else without_people(e.catalogue)
    sha256 = hashlib.sha256(e.catalogue.encode()).hexdigest()
    file = file_name(report.agreement, report.month, report.revision)
    contents = Contents(
        report, revision, file, sha256, withheld, names is not None, bool(e.rebuilds),
        linked=bool(seal.alias_versions),
    )  # fmt: skip
    pack.put(README, readme(contents).encode())
    pack.put("report.json", e.stored)
    for form in FORMS:
        pack.put(f"report.{form}", render(report, form, report.language, standing(revision), stored=e.stored))
    files = tables.subject_files(seal.counts)
    pack.put("counts.csv", tables.counts_csv(seal.counts, files))
    pack.put("digests.txt", tables.digest_lines(seal.counts))
    pack.put("seal.json", seal.model_dump_json(exclude={"counts", "left_out"}, indent=1).encode() + b"\n")
    pack.put("findings.csv", tables.findings_csv(report.findings))
    pack.put("ledger.jsonl", b"".join(entry.model_dump_json().encode() + b"\n" for entry in e.entries))
    pack.put("catalogue.yaml", catalogue.encode())
    if e.rebuilds:
        pack.put("rebuilds.jsonl", b"".join(tables.rebuild_line(one) for one in e.rebuilds))
    if revision.signature:
        pack.put("approval/statement", revision.statement.encode())
        pack.put("approval/statement.sig", revision.signature.encode())
        pack.put("approval/allowed_signers", "".join(f"{line}\n" for line in revision.allowed_signers).encode())
    if names:
        _put_names(settings, client, seal, pack, names)
    if seal.alias_versions:
        with pack.member("aliases.csv", _ROW * sum(sizes(seal).values())) as out:
            out.write(tables.header(tables.ALIASES))
            for members in sets.linked(settings.clickhouse, client, seal):
                out.write(tables.alias_rows(members))
    _put_left_out(settings, client, seal, pack)
    subjects = _put_subjects(settings, client, seal, files, pack)
    return Made(revision, subjects, pack.finish(), withheld)


def _put_names(settings: Settings, client: Client, seal: Seal, pack: Pack, asker: Asker) -> None:
    stored = sizes(seal)
    with explained(settings.clickhouse):
        keep(client, asker, sum(stored.values()), month=seal.month)
    with pack.member("names.csv", _ROW * sum(stored.values())) as out:
        out.write(tables.header(tables.NAMES))
        for rows in sets.names(settings.clickhouse, client, seal, stored):
            out.write(tables.names_rows(rows))


def _put_left_out(settings: Settings, client: Client, seal: Seal, pack: Pack) -> None:
    """Raises CheckFailed when they are not as many as the seal says."""
    owed: Counter[Cell] = Counter()
    for part in seal.left_out:
        owed[part.tenant, part.sku] += part.subjects
    with pack.member("left_out.csv", _ROW * owed.total()) as out:
        out.write(tables.header(tables.LEFT_OUT))
        for piece in sets.left_out(settings.clickhouse, client, seal):
            out.write(tables.left_out_rows(piece))
            owed[piece.tenant, piece.sku] -= piece.text.count("\n")
    if wrong := [cell for cell, missing in owed.items() if missing]:
        raise _differs(seal, min(wrong), "those left out")


def _put_subjects(
    settings: Settings, client: Client, seal: Seal, files: Mapping[Cell, str], pack: Pack
) -> int:
    """A file for each cell. Raises CheckFailed when one does not give the seal's digest."""
    owed = {(c.tenant, c.sku): c for c in seal.counts}
    pieces = sets.counted(settings.clickhouse, client, seal)
    for cell, parts in groupby(pieces, lambda piece: (piece.tenant, piece.sku)):
        with pack.member(files[cell], _LINE * owed[cell].active_users) as out:
            for part in parts:
                out.write(part.text.encode())
        if out.sha256 == owed[cell].digest:
            del owed[cell]
    if owed:
        raise _differs(seal, min(owed), "the digest")
    return sum(c.active_users for c in seal.counts)


def _differs(seal: Seal, cell: Cell, what: str) -> CheckFailed:
    return CheckFailed(
        f"what is stored of {' '.join(cell)} does not give {what} of seal revision {seal.revision}: "
        f"`rollcall verify {month_name(seal.month)}` says what is wrong; no bundle was made"
    )
