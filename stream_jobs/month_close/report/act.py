"""What people do to a draft: adjust, waive, give it back. Each is a line of the ledger, then a new draft.

A crash between the two leaves an act without its draft: the next draft takes it in, no approval passes it, and doing
the same again completes it instead of doing it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, ConfigurationError
from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.ledger import Act, Adjusted, Entry, Returned, Waived
from schemas.report import Adjustment, Report, Waiver
from schemas.settings import Settings
from stream_jobs.month_close.report.basis import agreement_now, catalogue_now, gather, sealed
from stream_jobs.month_close.report.draft import draft
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import Life, refused
from stream_jobs.month_close.report.lines import cell_lines
from stream_jobs.month_close.report.store import get_report


def record(
    ledger: Ledger, act: Act, *, actor: str, at: datetime, agreement: Agreement, life: Life | None = None
) -> Entry:
    """Appends the act if it may be done now. `life` is what it was decided on; left out: as it is now.

    Raises CheckFailed with the reason why not, or when somebody else was faster; the driver's errors besides.
    """
    life = ledger.life() if life is None else life
    if sentence := refused(life, act, actor, agreement):
        raise CheckFailed(sentence)
    return ledger.append(act, actor=actor, at=at, place=life.places + 1)


def adjust(
    settings: Settings, client: Client, month: date, agreement: str, *, tenant: str, sku: str, quantity: int,
    reason: str, text: str, actor: str, at: datetime,
) -> Report:  # fmt: skip
    """Adds a signed row to what is reported of a tenant's SKU, from the next draft on; returns that draft.

    Raises ConfigurationError for a reason that is not in the catalogue's list, an empty text or a quantity of 0,
    CheckFailed for a tenant or SKU that this report cannot have a line of.
    """
    act = Adjusted(tenant=tenant, sku=sku, quantity=quantity, reason=reason, text=text.strip())
    if quantity == 0:
        raise ConfigurationError("an adjustment of 0 changes nothing: give a signed quantity such as -2")
    with explained(settings.clickhouse):
        _reasoned("adjustment", reason, text, catalogue_now(client).reasons.adjustments)
        ledger = Ledger(client, agreement, month)
        life = ledger.life()
        row = Adjustment(place=life.places + 1, actor=actor, **act.model_dump(exclude={"action"}))
        if not any(isinstance(p, Adjustment) and _same(p, row) for p in life.pending):
            _refuse_misfit(client, replace(life, adjustments=(*life.adjustments, row)), row)
            agreed = agreement_now(client, agreement, month)
            record(ledger, act, actor=actor, at=at, agreement=agreed, life=life)
    return draft(settings, client, month, agreement, actor=actor, at=at)


def waive(
    settings: Settings, client: Client, month: date, agreement: str, *, finding: str, reason: str, text: str,
    actor: str, at: datetime,
) -> Report:  # fmt: skip
    """Accepts a finding of the newest draft, for this revision; returns the draft that says so.

    Raises ConfigurationError for a reason that is not in the catalogue's list, an empty text, or a finding that the
    draft has not.
    """
    with explained(settings.clickhouse):
        _reasoned("waiver", reason, text, catalogue_now(client).reasons.waivers)
        ledger = Ledger(client, agreement, month)
        life = ledger.life()
        if (newest := life.newest) is None:
            raise CheckFailed(_undrafted(agreement, month))
        known = {f.id for f in get_report(client, agreement, month, newest.report).findings}
        if finding not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(f"draft {newest.draft} has no finding {finding!r}; it has: {there}")
        act = Waived(revision=newest.number, finding=finding, reason=reason, text=text.strip())
        waived = life.waivers.get((newest.number, finding))
        if waived is None or (waived.reason, waived.text, waived.actor) != (reason, act.text, actor):
            record(ledger, act, actor=actor, at=at, agreement=agreement_now(client, agreement, month), life=life)
    return draft(settings, client, month, agreement, actor=actor, at=at)


def give_back(
    settings: Settings, client: Client, month: date, agreement: str, *, reason: str, actor: str, at: datetime
) -> Report:
    """Says no to a draft, or takes an approval back before anything may have arrived; returns what stands now."""
    if not reason.strip():
        raise ConfigurationError("say why it is returned: --reason TEXT")
    with explained(settings.clickhouse):
        ledger = Ledger(client, agreement, month)
        life = ledger.life()
        if life.newest is None:
            raise CheckFailed(_undrafted(agreement, month))
        act = Returned(revision=life.newest.number, reason=reason.strip())
        record(ledger, act, actor=actor, at=at, agreement=agreement_now(client, agreement, month), life=life)
    return draft(settings, client, month, agreement, actor=actor, at=at)


def _refuse_misfit(client: Client, life: Life, row: Adjustment) -> None:
    """Refuses what would stand in no line of the report with it."""
    seal = sealed(client, life.month, life.agreement)
    basis = gather(client, life, seal, revision=1, corrects=None, reason="adjusted")
    _, unapplied = cell_lines(
        basis.catalogue, basis.agreement, basis.month, basis.skus, basis.seal, basis.adjustments
    )
    for misfit in unapplied:
        if (misfit.tenant, misfit.sku) == (row.tenant, row.sku):
            raise CheckFailed(f"nothing was adjusted: {misfit.reason}; name a tenant and SKU that this report is of")


def _same(one: Adjustment | Waiver, other: Adjustment) -> bool:
    return one.model_dump(exclude={"place"}) == other.model_dump(exclude={"place"})


def _reasoned(what: str, reason: str, text: str, reasons: Sequence[str]) -> None:
    if reason not in reasons:
        raise ConfigurationError(f"{reason!r} is no reason for this {what}; the catalogue has {', '.join(reasons)}")
    if not text.strip():
        raise ConfigurationError(f"say in words what the {what} is for: --text TEXT")


def _undrafted(agreement: str, month: date) -> str:
    name = month_name(month)
    return f"{agreement} {name} has no draft yet: `rollcall report draft {name}` makes one"
