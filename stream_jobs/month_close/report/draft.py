"""Drafting: the report as it would be now, stored if it is another than the one that stands.

A crash at any point leaves at most a stored JSON that no ledger names: drafting again takes the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed
from infra.generation import generations
from schemas.amendment import changes_of_sealed
from schemas.calendar import month_name
from schemas.close import CloseResult, Seal
from schemas.ledger import Drafted
from schemas.report import Report
from schemas.settings import Settings
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.report.basis import agreement_now, corrected, gather, sealed
from stream_jobs.month_close.report.build import build
from stream_jobs.month_close.report.causes import cause_of
from stream_jobs.month_close.report.differences import differences
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import Life, Revision, refused
from stream_jobs.month_close.report.store import get_report, put_report

_UNPRINTED = {"revision", "draft", "findings", "set_aside", "sources", "correction", "seal"}


def draft(
    settings: Settings, client: Client, month: date, agreement: str, *, actor: str, at: datetime, reason: str = ""
) -> Report:
    """The report as of now, from the newest seal: stored as the next draft, or the one that stands if it is the same.

    A revision that was sent is corrected by the next one if what is reported changed, or if it was rejected; with a
    `reason` also if anything else changed that is printed. One that is approved stays so while it prints the same.
    Raises CheckFailed before the first close, while a message may be at the distributor, and when somebody else was
    faster; OutOfReach without ClickHouse.
    """
    with explained(settings.clickhouse):
        ledger, seal = Ledger(client, agreement, month), sealed(client, month, agreement)
        life = ledger.life()
        newest = life.newest
        standing = get_report(client, agreement, month, newest.report) if newest else None
        why = reason or _cause(client, life, standing, seal)
        now = _as_of_now(client, life, seal, why)
        if newest and standing:
            if _stands(newest, standing, now, asked=bool(reason or life.pending)):
                return standing
            if not newest.was_sent:
                now = now.model_copy(update={"draft": newest.draft + 1})
        act = Drafted(
            revision=now.revision, draft=now.draft, report=now.sha256, seal_revision=seal.revision,
            seal_digest=seal.digest, reason=now.correction.reason if now.correction else why,
        )  # fmt: skip
        if sentence := refused(life, act, actor, agreement_now(client, agreement, month)):
            raise CheckFailed(sentence)
        put_report(client, now)
        ledger.append(act, actor=actor, at=at, place=life.places + 1)
        return now


def draft_all(
    settings: Settings, client: Client, month: date, results: Iterable[CloseResult], *, actor: str, at: datetime,
    tell: Callable[[str], None],
) -> list[Report]:  # fmt: skip
    """A draft for each agreement that a close has sealed, told in a sentence each.

    One that cannot be drafted now is told and does not hinder the others: its report waits for a person.
    """
    made = []
    for result in results:
        if result.outcome == "refused":
            continue
        try:
            report = draft(settings, client, month, result.agreement, actor=actor, at=at)
        except CheckFailed as error:
            tell(f"{result.agreement} {month_name(month)}: no draft: {error}")
            continue
        tell(summary(report))
        made.append(report)
    return made


def summary(report: Report) -> str:
    """Which draft it is, what it reports and how much it found."""
    blocking = sum(finding.blocks for finding in report.findings)
    found = f"{len(report.findings)} finding" + ("" if len(report.findings) == 1 else "s")
    return (
        f"{report.agreement} {month_name(report.month)}: revision {report.revision} draft {report.draft} reports "
        f"{report.total.reported}, {found}" + (f", {blocking} blocking" if blocking else "")
    )


def _as_of_now(client: Client, life: Life, seal: Seal, reason: str) -> Report:
    """Under the number of the draft that stands, so that the same is the same to the byte; or the next revision's."""
    newest = life.newest
    if newest is None:
        revision, number = 1, 1
    elif newest.was_sent:
        revision, number = newest.number + 1, 1
    else:
        revision, number = newest.number, newest.draft
    corrects = corrected(client, life, revision)
    return build(gather(client, life, seal, revision=revision, corrects=corrects, reason=reason), revision, number)


def _stands(newest: Revision, standing: Report, now: Report, *, asked: bool) -> bool:
    """Whether the newest revision's draft is what there is to say; `asked`: a person has a reason for another one."""
    if newest.was_sent:
        same = not differences(standing.lines, now.lines)
        return newest.state != "rejected" and same and (not asked or _printed(standing) == _printed(now))
    if newest.state == "approved" and not asked:
        return _printed(standing) == _printed(now)
    return now.to_json() == standing.to_json()


def _printed(report: Report) -> dict[str, object]:
    return report.model_dump(exclude=_UNPRINTED)


def _cause(client: Client, life: Life, standing: Report | None, seal: Seal) -> str:
    amended = False
    if standing is not None and standing.seal.catalogue_version != seal.catalogue_version:
        versions = stored_versions(client)
        before, now = (versions.at(v) for v in (standing.seal.catalogue_version, seal.catalogue_version))
        amended = bool(changes_of_sealed(before, now, [(life.month, life.agreement)]))
    made_for = [generation for generation in generations(client) if generation.month == life.month]
    return cause_of(life, standing, seal, made_for=made_for, amended=amended)
