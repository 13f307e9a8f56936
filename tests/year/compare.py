"""What was reported, held against the oracle: every report there, none twice, every line equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from schemas import report
from stream_jobs.month_close.report.ledger import read_lives
from stream_jobs.month_close.report.life import Life, Revision
from stream_jobs.month_close.report.store import get_report
from tests.year.oracle import Expected, Quantities

Name = tuple[str, date, int]
"""Agreement, month, revision."""


def sent_reports(client: Client) -> dict[Name, report.Report]:
    """Every revision that was sent, as its last draft has it."""
    return {
        (*key, revision.number): get_report(client, *key, revision.report)
        for key, life in read_lives(client).items() for revision in life.revisions if revision.was_sent
    }  # fmt: skip


def lives(client: Client) -> dict[tuple[str, date], Life]:
    return read_lives(client)


def accepted(revision: Revision) -> int:
    """How many attempts to send it succeeded."""
    return sum(attempt.outcome == "accepted" for attempt in revision.attempts)


def faults(found: report.Report, expected: Expected) -> Iterator[str]:
    """What differs, in words; nothing when the report is as the oracle has it."""
    lines = {(x.tenant, x.sku): _quantities(x) for x in found.lines}
    yield from _differing("line", {k: v for k, v in lines.items() if any(v)}, expected.lines)
    if len(lines) != len(found.lines):
        yield "a tenant and SKU have two lines"
    skus = {x.sku: _quantities(x) for x in found.skus}
    yield from _differing("SKU", {k: v for k, v in skus.items() if any(v)}, expected.skus)
    families = {(x.family, x.deployment): _quantities(x) for x in found.families}
    yield from _differing("family", {k: v for k, v in families.items() if any(v)}, expected.families)
    yield from _differing("report", {"total": _quantities(found.total)}, {"total": expected.total})
    yield from _differing("report", {"due": found.due.day}, {"due": expected.due})
    kinds = {"family_minimum", "zero_report"}
    cited = {(f.kind, f.family, f.rule.id if f.rule else "") for f in found.findings if f.kind in kinds}
    yield from _differing("finding", dict.fromkeys(cited, 1), dict.fromkeys(expected.findings, 1))
    aside = {(s.reason, s.source): s.events for s in found.set_aside}
    yield from _differing("set aside", aside, expected.set_aside)
    changed = found.correction.differences if found.correction else []
    differences = {(d.tenant, d.sku): (d.before, d.after) for d in changed}
    yield from _differing("difference", differences, expected.differences)
    if not all(x.adds_up for x in (*found.lines, *found.skus, *found.families, found.total)):
        yield "something does not add up"


def _quantities(x: report.Quantities) -> Quantities:
    return Quantities(x.measured, x.excluded, x.trial, x.free, x.adjusted, x.shortfall, x.reported)


def _differing(what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Iterator[str]:
    for key in sorted({*found, *expected}, key=str):
        if found.get(key) != expected.get(key):
            yield f"{what} {key}: found {found.get(key)}, expected {expected.get(key)}"
