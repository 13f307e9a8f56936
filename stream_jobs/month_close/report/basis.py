"""What a report is made from, gathered from ClickHouse: the edge of `build`.

These functions raise the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from datetime import date

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed, ConfigurationError
from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.catalogue import Catalogue
from schemas.close import Seal
from schemas.report import Report
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.report.build import Basis
from stream_jobs.month_close.report.ledger import read_lives
from stream_jobs.month_close.report.life import Life
from stream_jobs.month_close.report.sources_seen import sources_seen
from stream_jobs.month_close.report.store import get_report, get_reports
from stream_jobs.month_close.report.unsettled import events_set_aside, offsets_lost, subjects_arriving
from stream_jobs.month_close.seal import newest_seal


def sealed(client: Client, month: date, agreement: str) -> Seal:
    """The newest seal. Raises CheckFailed when the month is not closed."""
    seal = newest_seal(client, month, agreement)
    if seal is None:
        name = month_name(month)
        raise CheckFailed(f"{agreement} {name} is not closed yet: `rollcall close {name}` counts and seals it")
    return seal


def catalogue_now(client: Client) -> Catalogue:
    """The newest version: who may act, and which reasons there are, is asked of it and not of the seal's."""
    versions = stored_versions(client)
    if versions.newest is None:
        raise ConfigurationError("no catalogue is stored: `rollcall migrate` stores the first version")
    return versions.at(versions.newest)


def agreement_now(client: Client, agreement: str, month: date) -> Agreement:
    """The month's agreement by the newest version that knows it. Raises CheckFailed when none does."""
    versions = stored_versions(client)
    return versions.contract(agreement, versions.newest or 0, month)


def gather(client: Client, life: Life, seal: Seal, *, revision: int, corrects: Report | None, reason: str) -> Basis:
    """The basis of one revision: the life's adjustments, its waivers of this revision, and what is stored besides.

    History is, of each earlier month, what was sent, or else the newest draft.
    """
    versions, version = stored_versions(client), seal.catalogue_version
    newest = versions.contract(life.agreement, versions.newest or version, life.month)
    agreement = _as_printed_now(versions.contract(life.agreement, version, life.month), newest)
    catalogue = versions.with_programme(agreement.programme, version)
    known = {sku.id for sku in catalogue.skus}
    in_seal = {cell.sku for cell in seal.counts} | {part.sku for part in seal.left_out}
    arriving = subjects_arriving(client, versions, seal)
    # What sources told behind the close says nothing of its set, unless nothing of the month came behind it.
    seen = sources_seen(
        client, catalogue_now(client), agreement, life.month, seal.time_zone, seal.close_number if arriving else None
    )
    return Basis(
        catalogue=catalogue, agreement=agreement, month=life.month, seal=seal, adjustments=life.adjustments,
        waivers={finding: waiver for (number, finding), waiver in life.waivers.items() if number == revision},
        set_aside=events_set_aside(client, life.month, seal.time_zone),
        arriving=arriving, sources=seen, history=_history(client, life), corrects=corrects,
        reason=reason, more_findings=offsets_lost(client, life.month, seal.time_zone),
        retired=versions.skus(in_seal - known, version),
    )  # fmt: skip


def _as_printed_now(sealed: Agreement, newest: Agreement) -> Agreement:
    """The agreement that the seal cites, with what may change at any time as it is now (schemas/amendment.py).

    A report that was rejected for its purchase order or an address is mended so.
    """
    parties = ("partner", "distributor")
    same = {party: getattr(newest, party) for party in parties
            if getattr(newest, party).name == getattr(sealed, party).name}  # fmt: skip
    return sealed.model_copy(
        update={name: getattr(newest, name) for name in ("purchase_order", "language", "silent_sources")} | same
    )


def corrected(client: Client, life: Life, revision: int) -> Report | None:
    """What a revision corrects: what the distributor holds, or else the revision before, which it rejected."""
    before = life.sent or life.revision(revision - 1)
    return None if before is None else get_report(client, life.agreement, life.month, before.report)


def _history(client: Client, life: Life) -> list[Report]:
    lives = read_lives(client, agreement=life.agreement)
    held = {month: other.in_force for (_, month), other in lives.items() if month < life.month}
    return get_reports(client, life.agreement, {month: r.report for month, r in held.items() if r})
