"""A seal: the resolved set of a month and agreement, stored for good, and the one row that makes it a revision.

The set is written first, under the close's own number; the row in `seals` last, under a token that names month,
agreement and revision, so of two closes one makes it. Rows of a close that was killed in between belong to no
revision, and nothing reads them. Nothing is ever changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from infra.errors import CheckFailed
from schemas.calendar import moment_of, month_name
from schemas.close import LeftOut, Seal, SealedCount
from stream_jobs.month_close.count import cells_of, measured
from stream_jobs.month_close.digest import seal_digest
from stream_jobs.month_close.left_out import left_out_before
from stream_jobs.month_close.places import Ground
from stream_jobs.month_close.rows import Rows
from stream_jobs.month_close.scope import Cell, Scope
from stream_jobs.month_close.sealed_set import store_set, stored_cells, stored_left_out

_COLUMNS = [
    "month", "agreement", "revision", "close_number", "time_zone", "digest", "counts", "left_out", "cluster_id",
    "topic_id", "generation", "offsets", "append_times", "catalogue_versions", "key_fingerprint",
    "alias_versions",
]  # fmt: skip
_TRIES = 20


class _Set(NamedTuple):
    """What a seal says of its set."""

    counts: list[SealedCount]
    left_out: list[LeftOut]


def make_seal(
    client: Client, rows: Rows, scope: Scope, ground: Ground, units_of: Callable[[Seal], Mapping[str, str]],
    amended: Callable[[Seal], bool] = lambda _: False,
) -> Seal:  # fmt: skip
    """The month's newest revision after this close: made by it, or an earlier close's that it would only repeat.

    `rows` are those before the close. It repeats a revision that counts the same set (by its digest) and leaves out
    as many for the same reasons, in the same zone, counted in the same units: `units_of` gives those of a seal's SKUs
    as they were then. One whose month was `amended` by the catalogue in force since is not repeated, for a report is
    judged by the version that its seal cites. A revision of a greater close number stands too: it has all that this
    one has. Raises CheckFailed when the stored set is not what the table holds, ConfigurationError when names may not
    be read.
    """
    month, number = rows.month, ground.number
    stored: _Set | None = None
    for _ in range(_TRIES):
        newest = newest_seal(client, month, scope.id)
        if newest is not None:
            overtaken = newest.close_number >= number
            found = stored or (None if overtaken else _found(client, rows, scope))
            if found is None or overtaken or (
                _repeats(found, newest, scope, units_of) and not amended(newest)
            ):
                if stored is not None and newest.close_number != number:
                    _remove(client, month, scope.id, number)
                return newest
        if stored is None:
            stored = _store(client, rows, scope, number)
        _put(client, _seal(client, rows, scope, ground, stored, 1 if newest is None else newest.revision + 1))
    raise CheckFailed(
        f"no revision of {scope.id} {month_name(month)} could be made in {_TRIES} tries, since its number is taken "
        "but its row cannot be read: was a row of `seals` removed? Restore it, then close again"
    )


def newest_seal(client: Client, month: date, agreement: str) -> Seal | None:
    found = seals(client, month, agreement)
    return found[-1] if found else None


def seals(client: Client, month: date, agreement: str | None = None) -> list[Seal]:
    """The month's revisions, of one agreement or of all, in order of agreement and revision."""
    found = client.query(
        f"SELECT {', '.join(_COLUMNS)}, sealed_at FROM seals WHERE month = %(month)s"
        + (" AND agreement = %(agreement)s" if agreement is not None else "") + " ORDER BY agreement, revision",
        parameters={"month": month, "agreement": agreement},
    )  # fmt: skip
    return [_read(row) for row in found.named_results()]


def sizes(seal: Seal | _Set) -> dict[Cell, int]:
    """How many subjects are stored of each tenant and SKU, counted or left out."""
    found: Counter[Cell] = Counter({(c.tenant, c.sku): c.active_users for c in seal.counts})
    for part in seal.left_out:
        found[part.tenant, part.sku] += part.subjects
    return dict(found)


def _found(client: Client, rows: Rows, scope: Scope) -> _Set:
    """What would be stored, read from the table."""
    return _Set(cells_of(client, rows, scope), left_out_before(client, rows, scope))


def _repeats(found: _Set, seal: Seal, scope: Scope, units_of: Callable[[Seal], Mapping[str, str]]) -> bool:
    if seal.digest != seal_digest(found.counts) or seal.left_out != found.left_out:
        return False
    units = units_of(seal)
    return seal.time_zone == scope.time_zone and all(units[sku] == scope.units[sku] for sku in units)


def _store(client: Client, rows: Rows, scope: Scope, number: int) -> _Set:
    """Writes the set, reads it back, and holds its cells against a count of the table."""
    expected = measured(client, rows, scope)
    if not expected:
        return _Set([], [])
    store_set(client, rows, scope)
    stored = _Set(
        stored_cells(client, rows.month, scope.id, number, expected),
        stored_left_out(client, rows.month, scope.id, number) if scope.allowances else [],
    )
    if sizes(stored) != expected:
        # Such as a statement that a connection's end made the driver send twice.
        raise CheckFailed(
            f"what close {number} stored of {month_name(rows.month)} for {scope.id} is not what {rows.table} counts: "
            "it was not made a revision; close again, and look at the server's log if that repeats"
        )
    return stored


def _seal(
    client: Client, rows: Rows, scope: Scope, ground: Ground, found: _Set, revision: int
) -> Seal:
    tenants = {tenant for tenant, _ in scope.rows}
    return Seal(
        month=rows.month, agreement=scope.id, revision=revision, close_number=ground.number,
        time_zone=scope.time_zone, digest=seal_digest(found.counts), counts=found.counts,
        left_out=found.left_out, cluster_id=ground.cluster_id,
        topic_id=ground.topic_id, generation=rows.generation, offsets=dict(ground.offsets),
        append_times={p: moment_of(ms * 1000) for p, ms in ground.append_ms.items()},
        catalogue_versions=dict(ground.catalogue_versions), key_fingerprint=_fingerprint(client, rows.month),
        alias_versions={tenant: held for tenant, held in rows.aliases.items() if tenant in tenants},
    )  # fmt: skip


def _put(client: Client, seal: Seal) -> None:
    """Makes it the revision, unless another close has made that one: the caller reads which it was."""
    row: dict[str, Any] = {name: getattr(seal, name) for name in _COLUMNS}
    row["counts"] = [(c.tenant, c.sku, c.active_users, c.digest) for c in seal.counts]
    row["left_out"] = [(o.tenant, o.sku, o.kind, o.reason, o.subjects) for o in seal.left_out]
    client.insert(
        "seals", [[row[name] for name in _COLUMNS]], column_names=_COLUMNS,
        settings={
            "insert_deduplication_token": f"seal-{month_name(seal.month)}-{seal.agreement}-{seal.revision}",
        },
    )  # fmt: skip


def _read(row: Mapping[str, Any]) -> Seal:
    aware = {p: utc(moment) for p, moment in row["append_times"].items()}
    return Seal.model_validate({**row, "append_times": aware, "sealed_at": utc(row["sealed_at"])})


def _fingerprint(client: Client, month: date) -> str:
    found = client.query(
        "SELECT fingerprint FROM subject_keys WHERE valid_from <= %(month)s"
        " ORDER BY valid_from DESC, stored_at LIMIT 1",
        parameters={"month": month},
    ).result_rows
    return str(found[0][0]) if found else ""


def _remove(client: Client, month: date, agreement: str, number: int) -> None:
    """Takes back a set that became no revision, since another close's was as good. Only the own close's rows."""
    client.command(
        "DELETE FROM seal_subjects WHERE month = %(month)s AND agreement = %(agreement)s"
        " AND close_number = %(number)s",
        parameters={"month": month, "agreement": agreement, "number": number},
    )  # fmt: skip
