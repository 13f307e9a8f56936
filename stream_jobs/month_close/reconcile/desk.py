"""Reconciliation: another count of a month is imported, held against ours, and what differs is looked into."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect, explained
from infra.errors import CheckFailed, ConfigurationError
from schemas.catalogue import Catalogue
from schemas.reconciliation import ColumnMap, ComparedCell, Comparison, OurCount
from schemas.settings import Settings
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.reconcile.compare import Evidence, Known, causes, compare
from stream_jobs.month_close.reconcile.evidence import Ground, gather
from stream_jobs.month_close.reconcile.ours import OurCounts, our_counts
from stream_jobs.month_close.reconcile.read import read_counts
from stream_jobs.month_close.reconcile.store import import_id, put_import
from stream_jobs.month_close.scope import Cell


def reconcile(
    settings: Settings, month: date, data: bytes, how: ColumnMap, *, name: str, actor: str, agreement: str | None = None
) -> Comparison:
    """Imports the month's counts from the bytes of a file (`name`, for messages) and compares them with ours.

    Compared are the SKUs that the file has, of the tenants of `agreement` where it is given, with the newest seals;
    where an agreement is not closed, with what is known now. Raises ConfigurationError or CheckFailed when the file
    cannot be read as the map says, or nothing of it is the agreement's.
    """
    client = connect(settings)
    with explained(settings.clickhouse):
        versions = stored_versions(client)
        if versions.newest is None:
            raise ConfigurationError("no catalogue is stored: `rollcall migrate` stores the first version")
        catalogue = versions.at(versions.newest)
        read = read_counts(data, how, month, catalogue, name)
        sha256 = hashlib.sha256(data).hexdigest()
        id = import_id(month, how.origin, sha256, read.counts)
        held = our_counts(client, month, catalogue, [(c.tenant, c.sku) for c in read.counts])
        theirs = [c for c in read.counts if agreement in (None, held.owners.get((c.tenant, c.sku)))]
        skus = {c.sku for c in theirs}
        ours = [c for c in held.counts if c.sku in skus and agreement in (None, c.agreement)]
        notes = list(read.notes)
        if len(theirs) < len(read.counts):
            notes.append(f"{len(read.counts) - len(theirs)} counts are not of {agreement}, and were left out")
        if not theirs:
            raise CheckFailed(
                f"{name} has no count of {agreement}: its tenants and SKUs are another's, or not in the catalogue; "
                "nothing was imported"
            )
        put_import(client, id, month, how.origin, sha256, actor, read.counts)
        cells = _explained(client, month, how, catalogue, held, compare(month, ours, theirs))
        agreements = {c.agreement for c in cells if c.agreement}
        return Comparison(
            month=month, origin=how.origin, import_id=id, sha256=sha256, stands_on=held.stands_on(agreements),
            notes=notes, cells=cells,
        )  # fmt: skip


def _explained(
    client: Client, month: date, how: ColumnMap, catalogue: Catalogue, held: OurCounts, cells: list[ComparedCell]
) -> list[ComparedCell]:
    """The cells with the causes of those that differ."""
    known = Known(frozenset(t.id for t in catalogue.tenants), frozenset(s.id for s in catalogue.skus))
    unfolded = [t.id for t in catalogue.tenants if not t.fold_case]
    programmes = {sku.id: sku.programme for sku in catalogue.skus}
    evidence: dict[Cell, Evidence] = {}
    for id in sorted({c.agreement for c in cells if c.differs and c.agreement}):
        own = [(c.tenant, c.sku) for c in cells if c.differs and c.agreement == id]
        seal = held.seals.get(id)
        programme = catalogue.programmes.get(next((programmes[sku] for _, sku in own if sku in programmes), ""))
        zone = seal.time_zone if seal else programme.time_zone if programme else how.time_zone
        ground = Ground(month, zone, seal.close_number if seal else None, how.time_zone)
        evidence |= gather(client, ground, own, unfolded)
    ours = {(c.tenant, c.sku): c for c in held.counts}
    unlinked: Counter[str] = Counter()
    for c in cells:
        if c.tenant not in known.tenants and not c.agreement:
            unlinked[c.sku] += c.theirs
    return [
        c if not c.differs else c.model_copy(
            update={
                "causes": causes(
                    c, ours.get((c.tenant, c.sku), OurCount(tenant=c.tenant, sku=c.sku, agreement="")),
                    evidence.get((c.tenant, c.sku), Evidence()), known, how.time_zone, unlinked[c.sku],
                )
            }
        )
        for c in cells
    ]  # fmt: skip
