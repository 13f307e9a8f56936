"""Holds every seal of a month against itself, and the newest also against the table that it was made from."""

from __future__ import annotations

from collections import Counter
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect, explained
from infra.errors import ConfigurationError
from schemas.calendar import month_name
from schemas.close import LeftOut, RevisionCheck, Seal, SealedCount, SubjectDifference, VerifyResult
from schemas.settings import Settings
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import IN_ORDER, cells_of, rows_by_cell
from stream_jobs.month_close.digest import seal_digest
from stream_jobs.month_close.rows import Rows, rows_of
from stream_jobs.month_close.scope import Scope, scopes_of
from stream_jobs.month_close.seal import seals, sizes
from stream_jobs.month_close.sealed_set import stored_cells, stored_left_out

# Subjects of one revision, counted or left out; first_event may improve later, so subjects only.
_LIVE = "SELECT DISTINCT tenant, sku, subject {rows} AND (tenant, sku) IN %(cells)s"
_SEALED = (
    "SELECT tenant, sku, subject FROM seal_subjects WHERE month = %(month)s AND agreement = %(agreement)s"
    " AND close_number = %(number)s AND (tenant, sku) IN %(cells)s"
)


def verify_month(settings: Settings, month: date, *, examples: int = 10) -> list[VerifyResult]:
    """One result per agreement that has closed the month, in order of their ids.

    Raises ConfigurationError when none has.
    """
    client = connect(settings)
    with explained(settings.clickhouse):
        by_agreement: dict[str, list[Seal]] = {}
        for seal in seals(client, month):
            by_agreement.setdefault(seal.agreement, []).append(seal)
        if not by_agreement:
            name = month_name(month)
            raise ConfigurationError(f"{name} is not closed yet, so nothing can be verified: `rollcall close {name}`")
        return [_verify(client, month, revisions, examples) for revisions in by_agreement.values()]


def seal_faults(seal: Seal, stored: list[SealedCount], left_out: list[LeftOut]) -> list[str]:
    """What is wrong between a revision's row and the set stored for it; pure."""
    faults = []
    if (digest := seal_digest(seal.counts)) != seal.digest:
        faults.append(f"the seal's digest is {seal.digest}, but its counts give {digest}")
    told, held = {(c.tenant, c.sku): c for c in seal.counts}, {(c.tenant, c.sku): c for c in stored}
    for cell in sorted(told.keys() | held.keys()):
        a, b = told.get(cell), held.get(cell)
        if a != b:
            faults.append(f"{','.join(cell)}: the seal says {_cell(a)}, the stored subjects give {_cell(b)}")
    said, found = _left_out(seal.left_out), _left_out(left_out)
    for reason in sorted(said.keys() | found.keys()):
        if said[reason] != found[reason]:
            what = f"the seal says {said[reason]} left out, the stored subjects give {found[reason]}"
            faults.append(f"{','.join(reason)}: {what}")
    return faults


def _verify(client: Client, month: date, revisions: list[Seal], examples: int) -> VerifyResult:
    checks = []
    for seal in revisions:
        place = (client, month, seal.agreement, seal.close_number)
        stored = stored_cells(*place, sizes(seal))
        checks.append(
            RevisionCheck(
                revision=seal.revision, close_number=seal.close_number, digest=seal.digest,
                active_users=sum(c.active_users for c in seal.counts), alias_version=seal.alias_version,
                faults=seal_faults(seal, stored, stored_left_out(*place)),
            )
        )  # fmt: skip
    if seal.left_out:
        stored = stored_cells(*place, sizes(seal), measured=True)
    missing, extra, shown = _differences(client, seal, stored, examples)
    return VerifyResult(
        month=month, agreement=seal.agreement, revisions=checks, missing=missing, extra=extra, examples=shown
    )


def _differences(
    client: Client, seal: Seal, stored: list[SealedCount], examples: int
) -> tuple[int, int, list[SubjectDifference]]:
    """How many subjects are missing from the stored set and how many are extra, with the first few of both.

    Subjects only: who of them is left out was decided by their active days as known when it was sealed.
    """
    rows = rows_of(client, seal.month, seal.close_number, seal.alias_versions)
    live = cells_of(client, rows, _scope(client, seal, rows), allowed=False)
    # The digests tell which cells differ; only these are compared subject by subject.
    cells = sorted({(c.tenant, c.sku) for c in set(live) ^ set(stored)})
    if not cells:
        return 0, 0, []
    parameters = {**rows.parameters, "agreement": seal.agreement, "cells": cells, "examples": examples}
    known = _LIVE.format(rows=rows.source)
    found: list[SubjectDifference] = []
    totals = []
    for kind, query in (("missing", _only_in(known, _SEALED)), ("extra", _only_in(_SEALED, known))):
        [[total]] = client.query(f"SELECT count() FROM ({query})", parameters=parameters, settings=IN_ORDER).result_rows
        totals.append(int(total))
        rows_shown = client.query(
            f"SELECT tenant, sku, lower(hex(subject)) FROM ({query}) ORDER BY tenant, sku, subject LIMIT %(examples)s",
            parameters=parameters, settings=IN_ORDER,
        ).result_rows  # fmt: skip
        for tenant, sku, subject in rows_shown:
            difference = {"kind": kind, "tenant": tenant, "sku": sku, "subject": subject}
            found.append(SubjectDifference.model_validate(difference))
    return totals[0], totals[1], found


def _scope(client: Client, seal: Seal, rows: Rows) -> Scope:
    """The rows that the seal was made from, by the catalogue that it was made with."""
    cells = rows_by_cell(client, rows)
    scopes = scopes_of(stored_versions(client), seal.catalogue_version, seal.month, cells, {seal.agreement})
    return next(scope for scope in scopes if scope.id == seal.agreement)


def _only_in(one: str, other: str) -> str:
    """Rows of `one` that `other` lacks; the other side is held in memory, bounded by the cells that differ."""
    return f"SELECT tenant, sku, subject FROM ({one}) WHERE (tenant, sku, subject) NOT IN ({other})"


def _cell(cell: SealedCount | None) -> str:
    return "nothing" if cell is None else f"{cell.active_users} active users, digest {cell.digest}"


def _left_out(parts: list[LeftOut]) -> Counter[tuple[str, str, str, str]]:
    return Counter({(part.tenant, part.sku, part.kind, part.reason): part.subjects for part in parts})
