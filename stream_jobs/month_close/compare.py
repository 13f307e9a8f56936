"""A rebuilt month held against what stands: every agreement's newest seal, or the table in force where none is.

Both ways, by tenant and SKU, over everybody measured; and by the seal's digest, over those that it counts. Whom its
allowances left out is left out again, unless the rebuilt table has others on their days than the one in force: then
they are judged anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.generation import Generation, in_force
from schemas.close import Seal, SealedCount
from schemas.settings import Settings
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import IN_ORDER, SUBJECTS, cells_of, read_cells, rows_by_cell
from stream_jobs.month_close.digest import seal_digest
from stream_jobs.month_close.erased_names import Erased, erased_names
from stream_jobs.month_close.rows import Rows, rows_of
from stream_jobs.month_close.scope import Cell, Scope, scopes_of
from stream_jobs.month_close.seal import seals

EXAMPLES = 5
_SEALED = "FROM seal_subjects WHERE month = %(month)s AND agreement = %(agreement)s AND close_number = %(number)s"


@dataclass(frozen=True)
class CellDifference:
    """A tenant and SKU whose subjects are not the same: how many there were and are, and who it is about."""

    tenant: str
    sku: str
    before: int
    after: int
    gone: int
    """Subjects that the rebuilt table lacks."""
    new: int
    """Subjects that it alone has."""
    gone_subjects: tuple[str, ...]
    """The first few, in lower-case hex."""
    new_subjects: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One agreement's month. Without a seal (`revision` is None) it is held against the table in force."""

    agreement: str
    revision: int | None
    digest: str | None
    """The seal's."""
    rebuilt_digest: str | None
    """What it would be of the rebuilt table, as of the seal's close."""
    cells: tuple[CellDifference, ...]

    @property
    def same(self) -> bool:
        return self.digest == self.rebuilt_digest and not self.cells


@dataclass(frozen=True)
class _Side:
    """Subjects to be compared, as SQL: `FROM … WHERE …` with its parameters, and their cells."""

    source: str
    parameters: dict[str, Any]
    cells: list[SealedCount]


def compare(settings: Settings, client: Client, month: date, rebuilt: Generation) -> list[Comparison]:
    """The month as `rebuilt` has it against what stands, in order of the agreements' ids.

    The catalogue version by which it was made, where one was given, may know SKUs that the seals' do not. Raises
    CheckFailed when no version knows a SKU; OutOfReach.
    """
    with explained(settings.clickhouse):
        newest = {seal.agreement: seal for seal in seals(client, month)}
        erased = erased_names(settings, client)
        found = [_with_seal(client, seal, rebuilt, erased) for seal in newest.values()]
        found += _without_seal(client, month, rebuilt, newest)
        return sorted(found, key=lambda comparison: comparison.agreement)


def _with_seal(client: Client, seal: Seal, generation: Generation, erased: Erased) -> Comparison:
    rows = Rows(seal.month, generation.table, generation.number, seal.close_number, seal.alias_versions)
    by_cell = rows_by_cell(client, rows)
    scopes = scopes_of(
        stored_versions(client), max(generation.catalogue_version, seal.catalogue_version), seal.month, by_cell,
        {seal.agreement}, erased,
    )  # fmt: skip
    scope = next(scope for scope in scopes if scope.id == seal.agreement)
    parameters = {"month": seal.month, "agreement": seal.agreement, "number": seal.close_number}
    sealed = read_cells(client, f"{SUBJECTS} {_SEALED}", parameters)
    rebuilt = _side(client, rows, scope)
    differences = _differences(client, _Side(_SEALED, parameters, sealed), rebuilt)
    counted = _counted(client, seal, rebuilt)
    if not differences and scope.allowances:
        standing = Rows(seal.month, in_force(client).table, rows.generation, rows.before, rows.aliases)
        judged = cells_of(client, rows, scope)
        counted = counted if set(cells_of(client, standing, scope)) == set(judged) else judged
    return Comparison(seal.agreement, seal.revision, seal.digest, seal_digest(counted), differences)


def _without_seal(
    client: Client, month: date, generation: Generation, closed: Collection[str]
) -> Iterable[Comparison]:
    """The agreements that have not closed the month, and that it has logins of."""
    standing = rows_of(client, month)
    rebuilt = Rows(month, generation.table, generation.number, aliases=standing.aliases)
    cells: dict[Cell, int] = rows_by_cell(client, standing)
    for cell, count in rows_by_cell(client, rebuilt).items():
        cells[cell] = cells.get(cell, 0) + count
    versions = stored_versions(client)
    for scope in scopes_of(versions, versions.newest or 0, month, cells, closed):
        if scope.id not in closed and not scope.empty:
            one, other = _side(client, standing, scope), _side(client, rebuilt, scope)
            yield Comparison(scope.id, None, None, None, _differences(client, one, other))


def _side(client: Client, rows: Rows, scope: Scope) -> _Side:
    condition = scope.condition if not scope.empty else "0"
    parameters = {**rows.parameters, **scope.parameters}
    return _Side(f"{rows.source} AND {condition}", parameters, cells_of(client, rows, scope, allowed=False))


def _counted(client: Client, seal: Seal, rebuilt: _Side) -> list[SealedCount]:
    """The rebuilt cells without those whom the seal leaves out."""
    affected = sorted({(left.tenant, left.sku) for left in seal.left_out})
    if not affected:
        return rebuilt.cells
    sets = (
        f"{SUBJECTS} {rebuilt.source} AND (tenant, sku) IN %(affected)s"
        f" AND (tenant, sku, subject) NOT IN (SELECT tenant, sku, subject {_SEALED} AND NOT counted)"
    )
    parameters = {**rebuilt.parameters, "agreement": seal.agreement, "affected": affected}
    less = read_cells(client, sets, parameters)
    return [*(cell for cell in rebuilt.cells if (cell.tenant, cell.sku) not in affected), *less]


def _differences(client: Client, before: _Side, after: _Side) -> tuple[CellDifference, ...]:
    """The digests tell which cells differ; only these are compared subject by subject."""
    counts = [{(c.tenant, c.sku): c.active_users for c in side.cells} for side in (before, after)]
    cells = sorted({(c.tenant, c.sku) for c in set(before.cells) ^ set(after.cells)})
    if not cells:
        return ()
    gone, new = _only_in(client, before, after, cells), _only_in(client, after, before, cells)
    nobody: tuple[int, tuple[str, ...]] = (0, ())
    return tuple(
        CellDifference(
            *cell, counts[0].get(cell, 0), counts[1].get(cell, 0), gone.get(cell, nobody)[0], new.get(cell, nobody)[0],
            gone.get(cell, nobody)[1], new.get(cell, nobody)[1],
        )
        for cell in cells
    )  # fmt: skip


def _only_in(client: Client, one: _Side, other: _Side, cells: list[Cell]) -> dict[Cell, tuple[int, tuple[str, ...]]]:
    """By cell, how many subjects `one` has that the other lacks, and the first of them."""
    found = client.query(
        f"SELECT tenant, sku, count(), groupArraySorted({EXAMPLES})(lower(hex(subject))) FROM ("
        f"SELECT DISTINCT tenant, sku, subject {one.source} AND (tenant, sku) IN %(cells)s"
        f" AND (tenant, sku, subject) NOT IN"
        f" (SELECT tenant, sku, subject {other.source} AND (tenant, sku) IN %(cells)s)) GROUP BY tenant, sku",
        parameters={**one.parameters, **other.parameters, "cells": cells}, settings=IN_ORDER,
    ).result_rows  # fmt: skip
    return {(tenant, sku): (count, tuple(subjects)) for tenant, sku, count, subjects in found}
