"""A seal: the resolved set of a month and agreement, stored for good, and the one row that makes it a revision.

The set is written first, under the close's own number; the row in `seals` last, under a token that names month,
agreement and revision, so of two closes one makes it. Rows of a close that was killed in between belong to no
revision, and nothing reads them. Nothing is ever changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from infra.errors import CheckFailed
from schemas.calendar import moment_of, month_name
from schemas.close import Seal, SealedCount
from stream_jobs.month_close.count import IN_ORDER, cells_before, counts_before, stored_cells
from stream_jobs.month_close.digest import seal_digest
from stream_jobs.month_close.places import Ground
from stream_jobs.month_close.scope import Scope

_COLUMNS = [
    "month", "agreement", "revision", "close_number", "time_zone", "digest", "counts", "cluster_id", "topic_id",
    "generation", "offsets", "append_times", "catalogue_versions", "key_fingerprint",
]  # fmt: skip
_TRIES = 20


def make_seal(
    client: Client, month: date, scope: Scope, ground: Ground, units_of: Callable[[Seal], Mapping[str, str]]
) -> Seal:
    """The month's newest revision after this close: made by it, or an earlier close's that it would only repeat.

    It repeats a revision that has the same set (by its digest), in the same zone, counted in the same units:
    `units_of` gives those of a seal's SKUs as they were then. A revision of a greater close number stands too: it has
    all that this one has.
    Raises CheckFailed when the stored set is not what active_users holds.
    """
    stored: list[SealedCount] | None = None
    for _ in range(_TRIES):
        newest = newest_seal(client, month, scope.id)
        if newest is not None:
            overtaken = newest.close_number >= ground.number
            cells = stored
            if cells is None and not overtaken:
                cells = cells_before(client, month, ground.number, scope)
            if overtaken or (newest.digest == seal_digest(cells or []) and _same_rules(newest, scope, units_of)):
                if stored is not None and newest.close_number != ground.number:
                    _remove(client, month, scope.id, ground.number)
                return newest
        if stored is None:
            stored = _store(client, month, scope, ground.number)
        _put(client, _seal(client, month, scope, ground, stored, 1 if newest is None else newest.revision + 1))
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


def _same_rules(seal: Seal, scope: Scope, units_of: Callable[[Seal], Mapping[str, str]]) -> bool:
    """Of a seal with the same cells: whether zone and units are those that it was made by."""
    units = units_of(seal)
    return seal.time_zone == scope.time_zone and all(units[c.sku] == scope.units[c.sku] for c in seal.counts)


def _store(client: Client, month: date, scope: Scope, number: int) -> list[SealedCount]:
    """Writes the set, reads its cells back, and holds them against a count of active_users."""
    expected = counts_before(client, month, number, scope)
    if not expected:
        return []
    # The least first_event of each subject, as the table's order streams by: four times as fast as GROUP BY with
    # min(), which handles tuples one by one.
    client.command(
        "INSERT INTO seal_subjects"
        " (close_number, month, agreement, tenant, sku, subject, first_event, counted, reason)"
        " SELECT %(number)s, %(month)s, %(agreement)s, tenant, sku, subject, first_event, true, ''"
        f" FROM active_users WHERE month = %(month)s AND {scope.condition} AND recorded_in < %(number)s"
        " ORDER BY tenant, sku, subject, first_event LIMIT 1 BY tenant, sku, subject",
        parameters={"number": number, "month": month, "agreement": scope.id, **scope.parameters},
        settings=IN_ORDER,
    )  # fmt: skip
    cells = stored_cells(client, month, scope.id, number)
    if {(c.tenant, c.sku): c.active_users for c in cells} != expected:
        # Such as a statement that a connection's end made the driver send twice.
        raise CheckFailed(
            f"what close {number} stored of {month_name(month)} for {scope.id} is not what active_users counts: "
            "it was not made a revision; close again, and look at the server's log if that repeats"
        )
    return cells


def _seal(
    client: Client, month: date, scope: Scope, ground: Ground, cells: list[SealedCount], revision: int
) -> Seal:
    return Seal(
        month=month, agreement=scope.id, revision=revision, close_number=ground.number,
        time_zone=scope.time_zone, digest=seal_digest(cells), counts=cells, cluster_id=ground.cluster_id,
        topic_id=ground.topic_id, generation=1, offsets=dict(ground.offsets),
        append_times={p: moment_of(ms * 1000) for p, ms in ground.append_ms.items()},
        catalogue_versions=dict(ground.catalogue_versions), key_fingerprint=_fingerprint(client, month),
    )  # fmt: skip


def _put(client: Client, seal: Seal) -> None:
    """Makes it the revision, unless another close has made that one: the caller reads which it was."""
    row: dict[str, Any] = {name: getattr(seal, name) for name in _COLUMNS}
    row["counts"] = [(c.tenant, c.sku, c.active_users, c.digest) for c in seal.counts]
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
