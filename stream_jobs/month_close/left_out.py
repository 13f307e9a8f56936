"""Which subjects an agreement's allowances leave out, found by ClickHouse: names are compared there, never fetched.

A name that was erased is found by its pseudonym (erased_names.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from infra.clickhouse.client import DENIED, error_code
from infra.errors import ConfigurationError
from schemas.close import LeftOut
from stream_jobs.month_close.allowances import Allowance, left_out_of
from stream_jobs.month_close.portions import Portion
from stream_jobs.month_close.rows import Rows
from stream_jobs.month_close.scope import Scope

SETTINGS: dict[str, Any] = {"max_query_size": 64 << 20, "join_use_nulls": 0}

# Rows of (tenant, sku, subject, days, entry): each subject that an entry speaks of, once an entry.
_NAMED = (
    "SELECT tenant, sku, subject, days, entry FROM"
    " (SELECT tenant, sku, subject, groupBitOr(active_days) AS days {rows}"
    " AND (tenant, subject) IN (SELECT tenant, subject FROM ({names})) GROUP BY tenant, sku, subject) AS d"
    " INNER JOIN (SELECT DISTINCT tenant, subject, entry FROM ({names})) AS n USING (tenant, subject)"
)
_EVERYBODY = (
    "SELECT tenant, sku, subject, days, entry FROM"
    " (SELECT tenant, sku, subject, groupBitOr(active_days) AS days {rows}"
    " AND (tenant, sku) IN %(trial_cells)s GROUP BY tenant, sku, subject) AS d"
    " INNER JOIN (SELECT one.1 AS tenant, one.2 AS sku, toUInt32(one.3) AS entry"
    " FROM (SELECT arrayJoin(%(trials)s) AS one)) AS t USING (tenant, sku)"
)
_BY_NAME = (
    "SELECT tenant, subject, entry FROM known_names INNER JOIN (SELECT one.1 AS tenant, one.2 AS name,"
    " toUInt32(one.3) AS entry FROM (SELECT arrayJoin(%(named)s) AS one)) AS e USING (tenant, name)"
    " WHERE tenant IN %(named_tenants)s"
)
_BY_PSEUDONYM = (
    "SELECT one.1 AS tenant, toFixedString(unhex(one.2), 16) AS subject, toUInt32(one.3) AS entry"
    " FROM (SELECT arrayJoin(%(hashed)s) AS one)"
)
_BY_PATTERN = (
    "SELECT tenant, subject, toUInt32({entry}) AS entry FROM known_names"
    " WHERE tenant = %(tenant_{entry})s AND match(name, %(pattern_{entry})s)"
)
_LEFT_OUT = (
    "SELECT tenant, sku, subject, arrayElement(%(reasons)s, min(entry)) AS reason FROM"
    " (SELECT tenant, sku, subject, days, entry, toUInt32(arrayElement(%(days)s, entry)) AS covered FROM ({found})"
    " WHERE bitAnd(covered, days) != 0"
    " AND (arrayElement(%(every_sku)s, entry) = 1 OR has(arrayElement(%(entry_skus)s, entry), sku)))"
    " GROUP BY tenant, sku, subject HAVING bitAnd(any(days), bitNot(groupBitOr(covered))) = 0"
)
# Of identities that were judged one by one: whoever has none left is left out, by the first entry of any.
_NO_IDENTITY_LEFT = (
    "SELECT tenant, sku, subject, arrayElement(%(reasons)s, min(indexOf(%(reasons)s, why))) AS reason FROM"
    " (SELECT DISTINCT tenant, sku, subject, identity {rows}) AS i LEFT ANY JOIN"
    " (SELECT tenant, sku, subject AS identity, reason AS why FROM ({judged})) AS j USING (tenant, sku, identity)"
    " GROUP BY tenant, sku, subject HAVING countIf(why = '') = 0"
)


def left_out_query(rows: Rows, scope: Scope, portion: Portion) -> tuple[str, dict[str, Any]] | None:
    """Selects (tenant, sku, subject, reason) of everybody in a portion that is left out; None: no entry is for it.

    Where `rows` merge identities, an entry for one of them is for all of the person, or with `exclusions_hit: identity`
    for that one alone: then a person is left out whose every identity is.
    """
    if rows.aliases and scope.exclusions_hit == "identity":
        judged = left_out_query(rows.unlinked(), scope, replace(portion, slice=None))
        if judged is None:
            return None
        selected = f"{rows.source} AND {scope.condition}{portion.condition}"
        query = _NO_IDENTITY_LEFT.format(rows=selected, judged=judged[0])
        return query, {**judged[1], **rows.parameters, **portion.parameters}
    entries = [entry for entry in scope.allowances if entry.tenant in portion]
    if not entries:
        return None
    numbered = list(enumerate(entries, start=1))
    trials = [(e.tenant, sku, i) for i, e in numbered if _everybody(e) for sku in e.skus]
    named = [(e.tenant, e.name, i) for i, e in numbered if e.name is not None]
    hashed = [(e.tenant, e.subject.hex(), i) for i, e in numbered if e.subject is not None]
    patterns = [(i, e) for i, e in numbered if e.pattern is not None]
    selected = f"{rows.source} AND {scope.condition}{portion.condition}"
    exact = ([_BY_NAME] if named else []) + ([_BY_PSEUDONYM] if hashed else [])
    names = " UNION ALL ".join([*exact, *(_BY_PATTERN.format(entry=i) for i, _ in patterns)])
    found = [_NAMED.format(rows=selected, names=rows.standing(names, ", n.entry AS entry"))] if names else []
    found += [_EVERYBODY.format(rows=selected)] if trials else []
    parameters: dict[str, Any] = {
        **rows.parameters, **scope.parameters, **portion.parameters,
        "reasons": [e.stored for e in entries], "days": [e.days for e in entries],
        "every_sku": [int(not e.skus) for e in entries], "entry_skus": [list(e.skus) or [""] for e in entries],
        "trials": trials, "trial_cells": sorted({(tenant, sku) for tenant, sku, _ in trials}),
        "hashed": hashed, "named": named, "named_tenants": sorted({tenant for tenant, _, _ in named}),
    }  # fmt: skip
    for i, entry in patterns:
        parameters |= {f"tenant_{i}": entry.tenant, f"pattern_{i}": entry.pattern}
    return _LEFT_OUT.format(found=" UNION ALL ".join(found)), parameters


def left_out_before(client: Client, rows: Rows, scope: Scope) -> list[LeftOut]:
    """How many a close would leave out, in order of tenant, SKU and reason."""
    found: list[tuple[str, str, str, int]] = []
    for read, part, portion in scope.pieces(rows):
        if (query := left_out_query(read, part, portion)) is not None:
            found += client.query(
                f"SELECT tenant, sku, reason, count() FROM ({query[0]}) GROUP BY tenant, sku, reason",
                parameters=query[1], settings=SETTINGS,
            ).result_rows  # fmt: skip
    return [left_out_of(*row) for row in sorted(found)]


@contextmanager
def names_readable(client: Client) -> Iterator[None]:
    """Turns a refusal to read names into the operator's sentence."""
    try:
        yield
    except DatabaseError as error:
        if error_code(error) != DENIED or "known_names" not in str(error):
            raise
        raise ConfigurationError(
            f"ClickHouse does not let this account read names, which the catalogue's exclusions and free users and "
            f"every --names need: GRANT {client.database}_names TO its user"
        ) from error


def _everybody(entry: Allowance) -> bool:
    return entry.name is None and entry.pattern is None
