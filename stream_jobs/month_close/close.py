"""Closing a month: the barrier, then a seal for every agreement whose month is over.

Law: all that Kafka acknowledged before the close began is in the seal, and nothing that came behind its control
records. It may be killed at any point and run again: what it left belongs to no revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect, explained
from infra.errors import CheckFailed, ConfigurationError
from infra.generation import number_in_force
from schemas.amendment import changes_of_sealed
from schemas.calendar import month_name
from schemas.close import CloseResult, Count, Seal
from schemas.settings import Settings
from stream_jobs.month_close.agreements import contracts_in
from stream_jobs.month_close.aliases.resolve import resolve
from stream_jobs.month_close.barrier import Tell, Waiting, pass_barrier
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import rows_by_cell
from stream_jobs.month_close.drain import drain as run_worker
from stream_jobs.month_close.erased_names import erased_names
from stream_jobs.month_close.left_out import names_readable
from stream_jobs.month_close.over import unfinished
from stream_jobs.month_close.places import Ground
from stream_jobs.month_close.rows import rows_of
from stream_jobs.month_close.scope import scopes_of
from stream_jobs.month_close.seal import make_seal, seals, sizes
from stream_jobs.month_close.versions import Versions

# The last whole month of ClickHouse's Date.
LAST_MONTH = date(2149, 5, 1)
_BEGINNINGS = 5


def close_month(
    settings: Settings, month: date, *, agreement: str | None = None, drain: bool = False, tell: Tell,
    waiting: Waiting | None = None, work: Callable[[], None] | None = None,
) -> list[CloseResult]:  # fmt: skip
    """Closes the month (its first day) for one agreement or for each, in order of their ids.

    An agreement whose month is not over is refused: in the results when others were sealed, by CheckFailed when
    none was. `drain` runs a worker for it (`work` takes that worker's place). Raises ConfigurationError for an
    unknown agreement or month, CheckFailed at the deadline or when something does not agree, OutOfReach.
    """
    if not date(1970, 1, 1) <= month <= LAST_MONTH:
        raise ConfigurationError(f"{month_name(month)} is outside of the months that are kept: 1970-01 to 2149-05")
    client = connect(settings)
    with explained(settings.clickhouse):
        _refuse_unknown(client, month, agreement)
    if drain and work is None:
        work = _drained(tell)
    for _ in range(_BEGINNINGS):
        ground = pass_barrier(
            settings, client, month, tell, waiting=waiting or Waiting(settings.close.deadline_seconds), work=work
        )
        with explained(settings.clickhouse):
            if (results := _seal_all(settings, client, month, agreement, ground, tell)) is not None:
                return results
        tell(f"a rebuild was accepted while close {ground.number} ran: beginning again with a new number")
    raise CheckFailed(f"rebuilds were accepted each of {_BEGINNINGS} times that a close began: close again")


def _seal_all(
    settings: Settings, client: Client, month: date, wanted: str | None, ground: Ground, tell: Tell
) -> list[CloseResult] | None:
    """None when another generation than the barrier's is in force: its rows say nothing about what is stored."""
    versions, version = stored_versions(client), ground.catalogue_version
    aliases = resolve(settings, client, versions.at(version), [month])[month]
    rows, closed = rows_of(client, month, ground.number, aliases), {seal.agreement for seal in seals(client, month)}
    if rows.generation != ground.generation:
        return None
    erased = erased_names(settings, client)
    scopes = scopes_of(versions, version, month, rows_by_cell(client, rows), closed, erased)
    if wanted is not None:
        scopes = [scope for scope in scopes if scope.id == wanted]
    if not scopes:
        raise CheckFailed(f"agreement {wanted} is not in catalogue version {version}, which is the one in force")
    late = {s.id: unfinished(month, _zones(versions, ground, s.id, month), ground.first_append_ms) for s in scopes}
    if all(late.values()):
        raise CheckFailed("\n".join(f"{id}: {reason}" for id, reason in late.items()))

    def units_of(seal: Seal) -> Mapping[str, str]:
        skus = {sku for _, sku in sizes(seal)}
        return {id: sku.unit for id, sku in versions.skus(skus, seal.catalogue_version).items()}

    def amended(seal: Seal) -> bool:
        cited, now = (versions.at(v) for v in (seal.catalogue_version, version))
        return bool(changes_of_sealed(cited, now, [(month, seal.agreement)]))

    results = []
    for scope in scopes:
        if reason := late[scope.id]:
            tell(f"{scope.id}: refused: {reason}")
            results.append(_refused(month, scope.id, ground.number, reason))
            continue
        if number_in_force(client) != ground.generation:
            return None
        with names_readable(client):
            seal = make_seal(client, rows, scope, ground, units_of, amended)
        tell(_said(seal, ground.number))
        results.append(_result(seal, ground.number))
    return results


def _refuse_unknown(client: Client, month: date, agreement: str | None) -> None:
    """Before a number is taken: a spelling that no catalogue up to the newest knows needs no barrier."""
    versions = stored_versions(client)
    if versions.newest is None:
        raise ConfigurationError("no catalogue is stored: `rollcall migrate` stores the first version")
    if agreement is None or agreement in {a.id for a in contracts_in(versions.at(versions.newest), month)}:
        return
    closed = {seal.agreement for seal in seals(client, month)}
    rows = rows_by_cell(client, rows_of(client, month))
    known = scopes_of(versions, versions.newest, month, rows, closed)
    if agreement not in {scope.id for scope in known}:
        names = ", ".join(scope.id for scope in known)
        raise ConfigurationError(f"there is no agreement {agreement} for {month_name(month)}; there are: {names}")


def _zones(versions: Versions, ground: Ground, agreement: str, month: date) -> Iterable[str]:
    """In every version in force at the close: while an `apply` is under way, the month must be over by each."""
    for version in set(ground.catalogue_versions.values()):
        programme = versions.programme(agreement, version, month)
        if programme is not None:
            yield programme.time_zone


def _drained(tell: Tell) -> Callable[[], None]:
    return lambda: run_worker(tell)


def _result(seal: Seal, number: int) -> CloseResult:
    return CloseResult(
        month=seal.month, agreement=seal.agreement, outcome="new" if seal.close_number == number else "unchanged",
        close_number=number, revision=seal.revision, digest=seal.digest, time_zone=seal.time_zone,
        counts=[Count(month=seal.month, tenant=c.tenant, sku=c.sku, active_users=c.active_users) for c in seal.counts],
    )  # fmt: skip


def _refused(month: date, agreement: str, number: int, reason: str) -> CloseResult:
    return CloseResult(month=month, agreement=agreement, outcome="refused", close_number=number, reason=reason)


def _said(seal: Seal, number: int) -> str:
    what = f"{seal.agreement} {month_name(seal.month)} revision {seal.revision}"
    total = sum(c.active_users for c in seal.counts)
    left_out = sum(part.subjects for part in seal.left_out)
    held = f"{_many(total, 'active user')} in {_many(len(seal.counts), 'count')}" if seal.counts else "a zero report"
    held += f", {_many(left_out, 'subject')} left out" if left_out else ""
    if not seal.counts and not left_out:
        held = "no login at all: a zero report"
    if seal.close_number == number:
        return f"{what}: sealed by close {number}, {held}"
    if seal.close_number > number:
        return f"{what}: close {seal.close_number} began after this one and has sealed all of it, {held}"
    return f"{what}: unchanged since close {seal.close_number}, {held}"


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
