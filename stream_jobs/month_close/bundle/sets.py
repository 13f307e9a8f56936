"""A seal's stored subjects, read in pieces of bounded size: text for files and lines, never a row a subject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from schemas.close import Seal
from schemas.settings import ClickHouseSettings
from stream_jobs.month_close.count import IN_ORDER
from stream_jobs.month_close.left_out import names_readable
from stream_jobs.month_close.scope import Cell

MOST = 200_000
"""Subjects in a piece: 33 bytes each as text."""
_BYTES = 256
_STORED = (
    "FROM seal_subjects WHERE month = %(month)s AND agreement = %(agreement)s AND close_number = %(number)s"
    " AND (tenant, sku) IN %(cells)s AND subject >= unhex(%(first)s) AND subject <= unhex(%(last)s)"
)
_TEXTS = (
    "SELECT tenant, sku, reason, lower(arrayStringConcat(arrayMap(s -> hex(s), arraySort(groupArray(subject))), '\\n'))"
    f" {_STORED} AND counted = %(counted)s GROUP BY tenant, sku, reason ORDER BY tenant, sku, reason"
)
_NAMES = (
    "SELECT tenant, sku, lower(hex(subject)), name FROM"
    f" (SELECT tenant, sku, subject {_STORED}) AS s LEFT ANY JOIN"
    " (SELECT tenant, subject, any(name) AS name FROM known_names WHERE (tenant, subject) IN"
    f" (SELECT tenant, subject {_STORED}) GROUP BY tenant, subject) AS n USING (tenant, subject)"
    " ORDER BY tenant, sku, subject"
)
_LINKED = (
    "FROM alias_members WHERE (tenant, version) IN %(versions)s AND (tenant, representative) IN"
    " (SELECT tenant, subject FROM seal_subjects WHERE month = %(month)s AND agreement = %(agreement)s"
    " AND close_number = %(number)s)"
)
_MEMBERS = (
    "SELECT DISTINCT tenant, lower(hex(representative)), lower(hex(subject)) AS member"
    f" {_LINKED} AND representative >= unhex(%(first)s) AND representative <= unhex(%(last)s)"
    " ORDER BY tenant, representative, subject"
)


class Read(NamedTuple):
    """What one query reads: whole cells, or the subjects of one that begin with the bytes `first` to `last`."""

    cells: tuple[Cell, ...]
    first: int = 0
    last: int = _BYTES - 1


class Piece(NamedTuple):
    """Subjects of a cell in order, in lower-case hex, each ended by a line feed. `reason`: as stored, if left out."""

    tenant: str
    sku: str
    reason: str
    text: str


class Named(NamedTuple):
    tenant: str
    sku: str
    subject: str
    name: str
    """In canonical form; empty when it is not known."""


def reads(sizes: Mapping[Cell, int], most: int = MOST) -> Iterator[Read]:
    """Each subject once, in order of tenant, SKU and subject; `sizes` are how many there are in each cell. Pure.

    Subjects are hashes, so a cell that is too large is sliced evenly by their first byte.
    """
    cells: list[Cell] = []
    held = 0
    for cell, size in sorted(sizes.items()):
        if cells and held + size > most:
            yield Read(tuple(cells))
            cells, held = [], 0
        if size <= most:
            cells.append(cell)
            held += size
            continue
        count = min(_BYTES, -(-size // most))
        for first, end in pairwise(i * _BYTES // count for i in range(count + 1)):
            yield Read((cell,), first, end - 1)
    if cells:
        yield Read(tuple(cells))


def counted(settings: ClickHouseSettings, client: Client, seal: Seal) -> Iterator[Piece]:
    """The counted subjects, in order of tenant, SKU and subject."""
    sizes = {(c.tenant, c.sku): c.active_users for c in seal.counts}
    return _pieces(settings, client, seal, sizes, counted=True)


def left_out(settings: ClickHouseSettings, client: Client, seal: Seal) -> Iterator[Piece]:
    """Who logged in and is not counted, in order of tenant and SKU."""
    sizes: Counter[Cell] = Counter()
    for part in seal.left_out:
        sizes[part.tenant, part.sku] += part.subjects
    return _pieces(settings, client, seal, sizes, counted=False)


def names(
    settings: ClickHouseSettings, client: Client, seal: Seal, sizes: Mapping[Cell, int]
) -> Iterator[list[Named]]:
    """Who the stored subjects are, counted or left out, in order of tenant, SKU and subject.

    Raises ConfigurationError when the account may not read names.
    """
    for read in reads(sizes):
        with explained(settings), names_readable(client):
            rows = client.query(_NAMES, parameters=_parameters(seal, read), settings=IN_ORDER).result_rows
        yield [Named(*row) for row in rows]


def linked(settings: ClickHouseSettings, client: Client, seal: Seal) -> Iterator[list[tuple[str, str, str]]]:
    """Tenant, stored subject and another subject of the same person, in their order, by the seal's aliases."""
    if not seal.alias_versions:
        return
    versions = list(seal.alias_versions.items())
    at = {"month": seal.month, "agreement": seal.agreement, "number": seal.close_number}
    with explained(settings):
        rows = client.query(
            f"SELECT tenant, version, count() {_LINKED} GROUP BY tenant, version",
            parameters={**at, "versions": versions},
        ).result_rows
    for read in reads({(tenant, version): size for tenant, version, size in rows}):
        with explained(settings):
            yield list(
                client.query(
                    _MEMBERS, parameters={**_parameters(seal, read), "versions": list(read.cells)}
                ).result_rows
            )


def _pieces(
    settings: ClickHouseSettings, client: Client, seal: Seal, sizes: Mapping[Cell, int], *, counted: bool
) -> Iterator[Piece]:
    for read in reads(sizes):
        with explained(settings):
            rows = client.query(
                _TEXTS, parameters={**_parameters(seal, read), "counted": int(counted)}, settings=IN_ORDER
            ).result_rows
        yield from (Piece(tenant, sku, reason, f"{text}\n") for tenant, sku, reason, text in rows)


def _parameters(seal: Seal, read: Read) -> dict[str, Any]:
    return {
        "month": seal.month, "agreement": seal.agreement, "number": seal.close_number, "cells": list(read.cells),
        "first": f"{read.first:02x}" + "00" * 15, "last": f"{read.last:02x}" + "ff" * 15,
    }  # fmt: skip
