"""Sending what is approved: the attempt goes into the ledger first, then the parcel out, then how it ended.

Killed before the first of these, nothing was done; after it, the attempt stands without an end, and may have arrived.
By a transport that carries the key it is then sent again; by another one only after a person, or a receipt, has said
that it did not arrive.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import Retryable, explained
from infra.errors import CheckFailed, ConfigurationError, RollcallError
from infra.waiting import wait_until
from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.ledger import Attempted, Ended
from schemas.report import Report
from schemas.settings import Settings
from stream_jobs.month_close.report.act import record
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import Revision, refused
from stream_jobs.month_close.report.store import get_json
from stream_jobs.month_close.submit.choose import transport_of
from stream_jobs.month_close.submit.parcel import key_of, parcel_of
from stream_jobs.month_close.submit.transport import Outcome, Parcel, Transport

RECORD_SECONDS = 30.0
"""How long it is tried to write down how an attempt ended."""


def submit(
    settings: Settings, client: Client, month: date, agreement: str, *, actor: str, at: datetime,
    tell: Callable[[str], None], transport: Transport | None = None,
) -> Outcome:  # fmt: skip
    """Sends the newest revision by the agreement's transport, or by the one that is given.

    Raises CheckFailed when it is not approved, was sent, may have arrived, or somebody else began at the same time;
    ConfigurationError when it cannot be sent with these settings; OutOfReach without ClickHouse. Nothing was sent then,
    unless the sentence says so.
    """
    name = month_name(month)
    with explained(settings.clickhouse):
        agreed = agreement_now(client, agreement, month)
        if transport is None:
            if agreed.submission is None:
                raise ConfigurationError(
                    f"agreement {agreement} has no submission: `rollcall report submit {name} --by-hand` writes the "
                    "files for a person to send, or give it one in the catalogue"
                )
            transport = transport_of(settings, agreed.submission)
        ledger = Ledger(client, agreement, month)
        life = ledger.life()
        if (newest := life.newest) is None:
            raise CheckFailed(f"{agreement} {name} has no draft yet: `rollcall report draft {name}` makes one")
        act = Attempted(
            revision=newest.number, attempt=len(newest.attempts) + 1, transport=transport.name,
            target=transport.target, key=key_of(agreement, month, newest.number, newest.report),
        )  # fmt: skip
        if sentence := refused(life, act, actor, agreed):
            raise CheckFailed(sentence)
        parcel = _parcel(settings, client, agreed, month, newest)
        record(ledger, act, actor=actor, at=at, agreement=agreed, life=life)
    begun = time.monotonic()
    tell(f"{agreement} {name} revision {act.revision}: attempt {act.attempt} by {act.transport} to {act.target}")
    try:
        outcome = transport.send(parcel)
    except Exception as error:
        # Not foreseen, so nobody can say how far it got. What it was is for the developers.
        _end(settings, ledger, agreed, act, Outcome("unknown", repr(error)), actor, at, begun)
        raise
    _end(settings, ledger, agreed, act, outcome, actor, at, begun)
    return outcome


def _parcel(settings: Settings, client: Client, agreed: Agreement, month: date, revision: Revision) -> Parcel:
    stored = get_json(client, agreed.id, month, revision.report)
    form = None
    if "form" in agreed.forms and agreed.form is not None:
        form = _template(settings.catalogue.parent / agreed.form)
    return parcel_of(Report.model_validate_json(stored), stored, revision, agreed, form)


def _template(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the distributor's form {file} cannot be read: {error.strerror}; its path is given from the catalogue's "
            "folder"
        ) from None


def _end(
    settings: Settings, ledger: Ledger, agreed: Agreement, act: Attempted, outcome: Outcome, actor: str, at: datetime,
    begun: float,
) -> None:  # fmt: skip
    """Writes how it ended, behind whatever others wrote meanwhile.

    Raises with the outcome when that cannot be, and CheckFailed when somebody has said something else of the attempt.
    """
    ended = Ended(revision=act.revision, attempt=act.attempt, outcome=outcome.result, note=outcome.note)
    when = at + timedelta(seconds=time.monotonic() - begun)
    stands: list[str] = []
    failures: list[RollcallError] = []

    def written() -> bool:
        try:
            with explained(settings.clickhouse):
                stands.append(_written(ledger, agreed, ended, actor, when))
        except (Retryable, CheckFailed) as error:
            failures.append(error)
        return bool(stands)

    what = f"attempt {act.attempt} of {ledger.agreement} {month_name(ledger.month)} ended {outcome.result}"
    if not wait_until(written, RECORD_SECONDS, pause=0.5):
        raise type(failures[-1])(f"{what} ({outcome.note}), and that could not be written down: {failures[-1]}")
    if stands[0] != outcome.result:
        raise CheckFailed(
            f"{what} ({outcome.note}), but meanwhile somebody said that it ended {stands[0]}: `rollcall report history "
            f"{month_name(ledger.month)}` tells who; ask at the other side what it has before anything is sent again"
        )


def _written(ledger: Ledger, agreed: Agreement, ended: Ended, actor: str, at: datetime) -> str:
    """The attempt's outcome as the ledger has it now."""
    life = ledger.life()
    if refused(life, ended, actor, agreed) is None:
        ledger.append(ended, actor=actor, at=at, place=life.places + 1)
        return ended.outcome
    # Either somebody has said how it ended, or this is the second try of an append whose answer was lost.
    revision = life.revision(ended.revision)
    return next(a.outcome for a in (revision.attempts if revision else ()) if a.number == ended.attempt)
