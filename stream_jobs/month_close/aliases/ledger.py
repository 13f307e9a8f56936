"""Proposals and decisions about names: append-only, numbered, each with who, when and why.

A decision is about two names in whole months; of those that have a month in them the newest holds. Nothing is ever
changed: to part what was accepted is to refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc
from infra.errors import CheckFailed
from schemas.parts import Validity, overlap
from stream_jobs.month_close.aliases.components import Link

ActKind = Literal["proposed", "accepted", "refused"]
ALWAYS, NEVER = date(1970, 1, 1), date(2149, 6, 1)
"""The first day that ClickHouse's Date has, and the first month that it lacks: no limit on that side."""
_COLUMNS = [
    "number", "act", "tenant", "one", "other", "valid_from", "valid_to", "origin", "why", "actor", "at",
]  # fmt: skip
_TRIES = 20


class Act(NamedTuple):
    act: ActKind
    tenant: str
    link: Link
    valid_from: date
    valid_to: date
    """The first day that is out."""
    origin: str
    why: str
    actor: str
    at: datetime
    """UTC; stored in milliseconds."""
    number: int = 0
    """From 1 on; 0 before it is stored."""

    @property
    def whole_months(self) -> bool:
        return self.valid_from.day == 1 and self.valid_to.day == 1


def append(client: Client, acts: Sequence[Act]) -> list[Act]:
    """Stores them with the next numbers, all or none. Raises CheckFailed when others are always faster."""
    if not acts:
        return []
    for _ in range(_TRIES):
        [[last]] = client.query("SELECT max(number) FROM alias_ledger").result_rows
        numbered = [_stored(act, last + i) for i, act in enumerate(acts, start=1)]
        rows = [[a.number, a.act, a.tenant, *a.link, *a[3:9]] for a in numbered]
        client.insert(
            "alias_ledger", rows, column_names=_COLUMNS,
            # Of two that take the same numbers, ClickHouse keeps the first; the other reads whose they are.
            settings={"insert_deduplication_token": f"alias-{last + 1}", "max_insert_block_size": len(rows)},
        )  # fmt: skip
        if _read(client, "number = %(number)s", number=last + 1) == numbered[:1]:
            return numbered
    raise CheckFailed(f"no number of the alias ledger could be taken in {_TRIES} tries: run it again")


def acts(client: Client, tenant: str | None = None) -> list[Act]:
    """All of a tenant's, or of all, in order of their numbers."""
    return _read(client, "tenant = %(tenant)s" if tenant is not None else "1", tenant=tenant)


def open_proposals(found: Sequence[Act]) -> list[Act]:
    """The newest proposal of each link and its months that nobody has decided since. Pure."""
    waiting: dict[tuple[str, Link], dict[Validity, Act]] = {}
    for act in found:
        mine, months = waiting.setdefault((act.tenant, act.link), {}), (act.valid_from, act.valid_to)
        if act.act == "proposed":
            mine[months] = act
        else:
            for decided in [other for other in mine if overlap(months, other)]:
                del mine[decided]
    return sorted((act for mine in waiting.values() for act in mine.values()), key=lambda act: act.number)


def _stored(act: Act, number: int) -> Act:
    return act._replace(number=number, at=act.at.replace(microsecond=act.at.microsecond // 1000 * 1000))


def _read(client: Client, condition: str, **parameters: object) -> list[Act]:
    rows = client.query(
        "SELECT act, tenant, one, other, valid_from, valid_to, origin, why, actor, at, number FROM alias_ledger"
        f" WHERE {condition} ORDER BY number",
        parameters=parameters,
    ).result_rows
    return [
        Act(act, tenant, (one, other), start, end, origin, why, actor, utc(at), number)
        for act, tenant, one, other, start, end, origin, why, actor, at, number in rows
    ]
