"""The bundle's tables: what the seal counts, who is left out, what was found. Pure.

CSV in UTF-8, lines ended by a line feed; a text that a spreadsheet program would calculate gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date

from infra.generation import Generation
from schemas.close import SealedCount
from schemas.report import Finding
from stream_jobs.month_close.allowances import left_out_of
from stream_jobs.month_close.bundle.sets import Named, Piece
from stream_jobs.month_close.forms.lines_csv import guarded
from stream_jobs.month_close.scope import Cell

COUNTS = ("tenant", "sku", "count", "digest", "file")
LEFT_OUT = ("tenant", "sku", "subject", "kind", "reason")
NAMES = ("tenant", "sku", "subject", "name")
ALIASES = ("tenant", "subject", "other")
FINDINGS = (
    "id", "kind", "severity", "tenant", "sku", "family", "text", "rule", "rule_source", "waived_by", "waived_reason",
    "waived_text",
)  # fmt: skip
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def subject_files(counts: Iterable[SealedCount]) -> dict[Cell, str]:
    """A file for each cell. Its number tells it from every other, on any file system; the rest is for the reader."""
    cells = sorted((c.tenant, c.sku) for c in counts)
    digits = max(4, len(str(len(cells))))
    return {
        cell: f"subjects/{number:0{digits}}-{_UNSAFE.sub('_', '-'.join(cell))[:100]}.txt"
        for number, cell in enumerate(cells, start=1)
    }


def counts_csv(counts: Iterable[SealedCount], files: Mapping[Cell, str]) -> bytes:
    """In order of tenant and SKU, with the file of each. Ids need no quotes, so `cut` can read it."""
    rows = sorted((c.tenant, c.sku, c.active_users, c.digest) for c in counts)
    return _csv([COUNTS, *((*row, files[row[0], row[1]]) for row in rows)])


def digest_lines(counts: Iterable[SealedCount]) -> bytes:
    """The lines whose SHA-256 is the seal's digest (stream_jobs/month_close/digest.py)."""
    return b"".join(sorted(f"{c.tenant},{c.sku},{c.active_users},{c.digest}\n".encode() for c in counts))


def left_out_rows(piece: Piece) -> bytes:
    part = left_out_of(piece.tenant, piece.sku, piece.reason, piece.text.count("\n"))
    before, after = f"{part.tenant},{part.sku},", f",{part.kind},{part.reason}\n"
    return "".join(f"{before}{subject}{after}" for subject in piece.text.splitlines()).encode()


def names_rows(rows: Iterable[Named]) -> bytes:
    return _csv((row.tenant, row.sku, row.subject, guarded(row.name)) for row in rows)


def alias_rows(rows: Iterable[tuple[str, str, str]]) -> bytes:
    return _csv(rows)


def header(columns: Sequence[str]) -> bytes:
    return _csv([columns])


def findings_csv(findings: Iterable[Finding]) -> bytes:
    return _csv([FINDINGS, *(_finding(finding) for finding in findings)])


def rebuild_line(generation: Generation) -> bytes:
    """How a rebuild read its month, as one line of JSON."""
    facts = {**asdict(generation), "voids": json.loads(generation.voids)}
    return json.dumps(facts, default=date.isoformat, ensure_ascii=False).encode() + b"\n"


def _finding(f: Finding) -> list[str]:
    rule = (f.rule.id, f.rule.source) if f.rule else ("", "")
    waived = (f.waived.actor, f.waived.reason, f.waived.text) if f.waived else ("", "", "")
    row = [f.id, f.kind, f.severity, f.tenant, f.sku, f.family, f.text, *rule, *waived]
    return [guarded(text) for text in row]


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()
