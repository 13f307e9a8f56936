"""What came behind the newest seals: late logins, and rebuilds. These functions raise the driver's errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from infra.generation import Generation, generations
from schemas.close import Seal
from stream_jobs.month_close.agreements import agreement_covering, covers_in
from stream_jobs.month_close.aliases.resolve import held_in
from stream_jobs.month_close.allowances import allowances_in, days_covered
from stream_jobs.month_close.count import cells_of, rows_by_cell
from stream_jobs.month_close.digest import seal_digest
from stream_jobs.month_close.erased_names import Erased, nobody
from stream_jobs.month_close.left_out import left_out_before
from stream_jobs.month_close.rows import Rows, rows_of
from stream_jobs.month_close.scope import Scope, scopes_of
from stream_jobs.month_close.seal import seals
from stream_jobs.month_close.versions import Versions

Key = tuple[str, date]
"""An agreement's id, and a month (its first day)."""


@dataclass(frozen=True)
class SealHead:
    """The newest seal of an agreement's month."""

    revision: int
    close_number: int
    generation: int
    left_out: bool
    """Whether anybody is."""
    aliases: Mapping[str, str]
    """By tenant, the version that held."""
    sealed_at: datetime


def seal_heads(client: Client) -> dict[Key, SealHead]:
    found = client.query(
        "SELECT agreement, month, max(revision), argMax(close_number, revision), argMax(generation, revision),"
        " argMax(notEmpty(left_out), revision), argMax(alias_versions, revision), argMax(seals.sealed_at, revision)"
        " FROM seals GROUP BY agreement, month"
    ).result_rows
    return {
        (a, m): SealHead(revision, number, g, bool(out), aliases, utc(at))
        for a, m, revision, number, g, out, aliases, at in found
    }


def changed_since(
    client: Client, versions: Versions, heads: Mapping[Key, SealHead], erased: Erased = nobody
) -> dict[Key, str]:
    """Why sealed months would be counted otherwise now, in the operator's words; nothing of those that would not.

    `erased` finds whom the catalogue names though the name is stored no longer, as a close does.
    """
    known = generations(client)
    found = _behind(client, known[-1].table, versions, heads, erased) | _rebuilt(client, known, versions, heads, erased)
    return _by_aliases(client, versions, heads, found, erased)


def _by_aliases(
    client: Client, versions: Versions, heads: Mapping[Key, SealHead], found: dict[Key, str], erased: Erased
) -> dict[Key, str]:
    """What is `found`, judged by the aliases that hold now: another name of somebody who is counted changes nothing."""
    held = held_in(client, sorted({month for _, month in heads}))
    said = dict(found)
    for key, head in heads.items():
        now = held[key[1]]
        if (key in found and now) or (key not in found and _others(client, versions, key, head, now)):
            said.pop(key, None)
            if _counted_otherwise(client, versions, erased, *key):
                said[key] = found.get(key, f"other names are of one person than at close {head.close_number}")
    return said


def _others(client: Client, versions: Versions, key: Key, head: SealHead, now: Mapping[str, str]) -> bool:
    """Whether others hold for the agreement's tenants than for its newest seal."""
    if now == head.aliases:
        return False
    tenants = {tenant for tenant, _ in _now(client, versions, nobody, *key)[2].rows}
    return {tenant: version for tenant, version in now.items() if tenant in tenants} != head.aliases


def _rebuilt(
    client: Client, known: list[Generation], versions: Versions, heads: Mapping[Key, SealHead], erased: Erased
) -> dict[Key, str]:
    """Months that a later generation was made for and that are counted otherwise by it.

    A close that would only repeat a seal makes none, so the seal's generation alone does not tell.
    """
    found = {
        key: f"generation {one.number} reads the month anew: {one.reason}"
        for one in known for key, head in heads.items()
        if key[1] == one.month and one.number > head.generation
    }  # fmt: skip
    return {key: said for key, said in found.items() if _counted_otherwise(client, versions, erased, *key)}


def _behind(
    client: Client, table: str, versions: Versions, heads: Mapping[Key, SealHead], erased: Erased
) -> dict[Key, str]:
    """Why sealed months would be counted otherwise, by what the table has from behind their seals.

    Subjects that are known only from there, of which only those with a row from behind the month's first seal are
    looked at; and left-out ones that have logged in on another day since. That no row tells: once rows of a subject
    are merged, `recorded_in` is that of its first login.
    """
    first: dict[date, int] = {}
    for (_, month), head in heads.items():
        first[month] = min(head.close_number, first.get(month, head.close_number))
    if not first or versions.newest is None:
        return {}
    behind_first = " OR ".join(f"(month = '{month}' AND recorded_in >= {number})" for month, number in first.items())
    late = f"SELECT month, tenant, sku, subject FROM {table} WHERE {behind_first}"
    found = client.query(
        "SELECT month, tenant, sku, since, count() FROM"
        f" (SELECT month, tenant, sku, subject, min(recorded_in) AS since FROM {table}"
        f" WHERE month IN %(months)s AND (month, tenant, sku, subject) IN ({late})"
        " GROUP BY month, tenant, sku, subject) GROUP BY month, tenant, sku, since",
        parameters={"months": list(first)},
    ).result_rows
    programmes = {id: sku.programme for id, sku in versions.skus({row[2] for row in found}, versions.newest).items()}
    behind: Counter[Key] = Counter()
    for month, tenant, sku, since, subjects in found:
        catalogue = versions.with_programme(programmes[sku], versions.newest)
        key = agreement_covering(catalogue, programmes[sku], tenant, month), month
        if key in heads and since >= heads[key].close_number:
            behind[key] += subjects
    said = {key: f"{n} subjects were recorded behind close {heads[key].close_number}" for key, n in behind.items()}
    for key, head in heads.items():
        if key not in said and head.left_out and _by_days(versions, *key) and _left_out_otherwise(
            client, versions, erased, *key
        ):
            said[key] = f"somebody whom close {head.close_number} left out has logged in on another day"
    return said


def _by_days(versions: Versions, agreement: str, month: date) -> bool:
    """Whether anything depends on a subject's days: whom an entry of the whole month leaves out stays so."""
    newest = versions.newest or 0
    catalogue, programme = versions.at(newest), versions.contract(agreement, newest, month).programme
    covered = covers_in(versions.with_programme(programme, newest), programme, month).get(agreement)
    tenants = {tenant.id for tenant in catalogue.tenants if covered and tenant.id in covered}
    entries = allowances_in(catalogue, programme, month, tenants)
    return any(entry.days != days_covered((None, None), month) for entry in entries)


def _left_out_otherwise(client: Client, versions: Versions, erased: Erased, agreement: str, month: date) -> bool:
    """Whether the allowances leave out others now than in the newest seal."""
    seal, rows, scope = _now(client, versions, erased, agreement, month)
    return left_out_before(client, rows, scope) != seal.left_out


def _counted_otherwise(client: Client, versions: Versions, erased: Erased, agreement: str, month: date) -> bool:
    """Whether the table in force gives another set than the newest seal's: all of the month is read for it."""
    seal, rows, scope = _now(client, versions, erased, agreement, month)
    return seal_digest(cells_of(client, rows, scope)) != seal.digest or (
        left_out_before(client, rows, scope) != seal.left_out
    )


def _now(client: Client, versions: Versions, erased: Erased, agreement: str, month: date) -> tuple[Seal, Rows, Scope]:
    """The agreement's newest seal, and what a close would count now, by the newest catalogue."""
    seal, rows = seals(client, month, agreement)[-1], rows_of(client, month)
    cells, newest = rows_by_cell(client, rows), versions.newest or seal.catalogue_version
    scopes = scopes_of(versions, newest, month, cells, [agreement], erased)
    return seal, rows, next(scope for scope in scopes if scope.id == agreement)
