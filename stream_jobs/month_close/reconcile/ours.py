"""Our counts of a month, cell by cell: of the newest seals, or as known now where an agreement has not closed.

These functions raise the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from clickhouse_connect.driver.client import Client

from schemas.catalogue import Catalogue
from schemas.close import Seal
from schemas.reconciliation import OurCount
from stream_jobs.month_close.agreements import agreement_covering
from stream_jobs.month_close.count import live_counts
from stream_jobs.month_close.scope import Cell
from stream_jobs.month_close.seal import seals


@dataclass(frozen=True)
class OurCounts:
    """`counts` of every cell with logins, in order; `seals` the newest of each agreement, by its id."""

    counts: list[OurCount]
    seals: dict[str, Seal]
    owners: dict[Cell, str]
    """Under which agreement a cell is reported; also of the cells that were asked for."""

    def stands_on(self, used: Collection[str]) -> list[str]:
        """A sentence for each of these agreements."""
        found = []
        for id in sorted(used):
            seal = self.seals.get(id)
            found.append(
                f"{id}: revision {seal.revision} of its seal, close {seal.close_number}" if seal else
                f"{id}: not closed, so as known now, before anything is left out"
            )  # fmt: skip
        return found


def our_counts(client: Client, month: date, catalogue: Catalogue, asked: Collection[Cell]) -> OurCounts:
    """By the newest catalogue: a cell belongs to the agreement that sealed it, or else to the one that covers it."""
    newest = {seal.agreement: seal for seal in seals(client, month)}
    found: dict[Cell, OurCount] = {}
    for seal in newest.values():
        left_out: Counter[tuple[str, str, str]] = Counter()
        for part in seal.left_out:
            left_out[part.tenant, part.sku, part.kind] += part.subjects
        counted = {(c.tenant, c.sku): c.active_users for c in seal.counts}
        for tenant, sku in counted.keys() | {(t, s) for t, s, _ in left_out}:
            parts = {kind: left_out[tenant, sku, kind] for kind in ("free", "excluded", "trial")}
            found[tenant, sku] = OurCount(
                tenant=tenant, sku=sku, agreement=seal.agreement, revision=seal.revision,
                counted=counted.get((tenant, sku), 0), **parts,
            )  # fmt: skip
    owners = {cell: count.agreement for cell, count in found.items()}
    programmes = {sku.id: sku.programme for sku in catalogue.skus}
    tenants = {tenant.id for tenant in catalogue.tenants}
    live = {(c.tenant, c.sku): c.active_users for c in live_counts(client, month)}
    for cell in sorted({*live, *asked} - found.keys()):
        tenant, sku = cell
        if sku in programmes:
            owners[cell] = agreement_covering(catalogue, programmes[sku], tenant, month)
            seal_ = newest.get(owners[cell])
            if cell in live or (seal_ is not None and tenant in tenants):
                found[cell] = OurCount(
                    tenant=tenant, sku=sku, agreement=owners[cell], revision=seal_.revision if seal_ else 0,
                    counted=0 if seal_ else live[cell],
                )  # fmt: skip
    return OurCounts([found[cell] for cell in sorted(found)], newest, owners)
