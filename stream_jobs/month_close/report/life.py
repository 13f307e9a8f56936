"""The life of a report: what the ledger of an agreement's month says, read from its start. Pure.

open → draft → approved → submitted → acknowledged or rejected; a revision is superseded once a later one is sent. Until
a revision is sent, its drafts replace each other; what is drafted after that is the next revision, a correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Literal

from infra.errors import CheckFailed
from schemas.calendar import month_name
from schemas.ledger import (
    Acknowledged,
    Adjusted,
    Approved,
    Attempted,
    Drafted,
    Ended,
    Entry,
    Notified,
    Rejected,
    Returned,
    Waived,
)
from schemas.report import Adjustment, Standing, State, Waiver
from stream_jobs.month_close.report.permitted import refused

__all__ = ["Attempt", "Life", "Revision", "read_life", "refused", "standing"]


@dataclass(frozen=True)
class Attempt:
    """One try to send a revision. `running`: nobody has said how it ended; it may have arrived, as with `unknown`."""

    number: int
    transport: str
    target: str
    key: str
    outcome: Literal["running", "accepted", "failed", "unknown"]
    note: str
    at: datetime
    report: str = ""
    """SHA-256 of the draft that was sent."""

    @property
    def open(self) -> bool:
        """It may have arrived, and nobody knows."""
        return self.outcome in ("running", "unknown")


@dataclass(frozen=True)
class Revision:
    """A revision as its newest draft and what became of it. Moments are the actors' clocks, in UTC."""

    number: int
    state: State
    draft: int
    report: str
    """SHA-256 of the newest draft."""
    seal_revision: int
    seal_digest: str
    reason: str
    prepared_by: str
    prepared_at: datetime
    opened_at: datetime
    place: int
    """Of the newest draft, in the ledger."""
    approved_by: str = ""
    approved_at: datetime | None = None
    approved_how: str = ""
    statement: str = ""
    signature: str = ""
    allowed_signers: tuple[str, ...] = ()
    returned_reason: str = ""
    """Why an approver gave this draft back; empty once there is a later draft or an approval."""
    attempts: tuple[Attempt, ...] = ()
    submitted_at: datetime | None = None
    receipt: str = ""
    received_at: datetime | None = None
    """When the distributor's answer was recorded."""
    rejected_reason: str = ""

    @property
    def unresolved(self) -> bool:
        """An attempt may have arrived, and neither an end, a receipt nor a person has said whether."""
        return self.submitted_at is None and any(attempt.open for attempt in self.attempts)

    @property
    def was_sent(self) -> bool:
        """It has arrived, whatever the answer was: what is drafted now is another revision."""
        return self.submitted_at is not None


@dataclass(frozen=True)
class Life:
    """All that the ledger says. `places` are the entries so far: the next one has place `places` + 1."""

    agreement: str
    month: date
    places: int = 0
    revisions: tuple[Revision, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    waivers: Mapping[tuple[int, str], Waiver] = field(default_factory=lambda: MappingProxyType({}))
    """By revision and finding."""
    notified: frozenset[str] = frozenset()

    @property
    def state(self) -> State:
        return self.newest.state if self.newest else "open"

    @property
    def newest(self) -> Revision | None:
        return self.revisions[-1] if self.revisions else None

    @property
    def sent(self) -> Revision | None:
        """What the distributor holds: the newest revision that stands submitted or acknowledged."""
        return next((r for r in reversed(self.revisions) if r.state in ("submitted", "acknowledged")), None)

    @property
    def in_force(self) -> Revision | None:
        """What the month's number is: what was sent, or else the newest revision."""
        return self.sent or self.newest

    def revision(self, number: int) -> Revision | None:
        return self.revisions[number - 1] if 0 < number <= len(self.revisions) else None

    @property
    def pending(self) -> list[Adjustment | Waiver]:
        """What was adjusted or waived behind the newest draft, so that the next one will have it first."""
        newest = self.newest
        rows: list[Adjustment | Waiver] = [*self.adjustments]
        if newest is None:
            return rows
        rows += (waiver for (number, _), waiver in self.waivers.items() if number == newest.number)
        return [row for row in rows if row.place > newest.place]

    def hands_in(self, revision: Revision) -> frozenset[str]:
        """Who adjusted or waived in the revision. What was adjusted in an earlier one has had its approver then."""
        before, after = self.revision(revision.number - 1), self.revision(revision.number + 1)
        since, until = before.place if before else 0, revision.place if after else self.places + 1
        adjusted = {a.actor for a in self.adjustments if since < a.place < until}
        waived = {w.actor for (number, _), w in self.waivers.items() if number == revision.number}
        return frozenset({*adjusted, *waived})


def standing(revision: Revision | None) -> Standing:
    """As it is printed on a report."""
    if revision is None:
        return Standing(state="open")
    return Standing(
        state=revision.state, prepared_by=revision.prepared_by, prepared_at=_rfc3339(revision.prepared_at),
        approved_by=revision.approved_by, approved_at=_rfc3339(revision.approved_at),
        approved_how=revision.approved_how, submitted_at=_rfc3339(revision.submitted_at), receipt=revision.receipt,
    )  # fmt: skip


def read_life(agreement: str, month: date, entries: Iterable[Entry]) -> Life:
    """The life that the entries (in order of their places) tell.

    Raises CheckFailed when a place is missing or stands twice, or an entry speaks of what was never there: the
    table was changed.
    """
    life = Life(agreement, month)
    for entry in entries:
        try:
            if entry.place != life.places + 1:
                missing = entry.place > life.places
                raise LookupError(f"place {life.places + 1} is missing" if missing else "it stands twice")
            life = replace(_after(life, entry), places=entry.place)
        except LookupError as error:
            raise CheckFailed(
                f"the ledger of {agreement} {month_name(month)} cannot be read at place {entry.place} "
                f"({entry.act.action}): {error.args[0]}. Nothing writes that: restore the table report_ledger"
            ) from None
    revisions, later = [], False
    for revision in reversed(life.revisions):
        revisions.append(replace(revision, state="superseded") if later and revision.was_sent else revision)
        later = later or revision.state in ("submitted", "acknowledged")
    return replace(life, revisions=tuple(reversed(revisions)))


def _after(life: Life, entry: Entry) -> Life:
    """The life with one more entry, `superseded` aside."""
    act, actor, at = entry.act, entry.actor, entry.at
    match act:
        case Drafted():
            return _drafted(life, act, entry)
        case Adjusted():
            row = Adjustment(place=entry.place, actor=actor, **act.model_dump(exclude={"action"}))
            return replace(life, adjustments=(*life.adjustments, row))
        case Waived():
            _of(life, act.revision)
            waiver = Waiver(place=entry.place, actor=actor, reason=act.reason, text=act.text)
            waivers = {**life.waivers, (act.revision, act.finding): waiver}
            return replace(life, waivers=MappingProxyType(waivers))
        case Notified():
            return replace(life, notified=life.notified | {act.key})
        case Approved():
            changed = replace(
                _of(life, act.revision), state="approved", approved_by=actor, approved_at=at, approved_how=act.how,
                statement=act.statement, signature=act.signature, allowed_signers=tuple(act.allowed_signers),
                returned_reason="",
            )  # fmt: skip
        case Returned():
            changed = replace(
                _unapproved(_of(life, act.revision)), state="draft", returned_reason=act.reason
            )
        case Attempted():
            revision = _of(life, act.revision)
            tried = Attempt(act.attempt, act.transport, act.target, act.key, "running", "", at, revision.report)
            changed = replace(revision, attempts=(*revision.attempts, tried))
        case Ended():
            changed = _ended(_of(life, act.revision), act, at)
        case Acknowledged():
            changed = replace(_answered(_of(life, act.revision), act.receipt, at), state="acknowledged")
        case Rejected():
            changed = replace(
                _answered(_of(life, act.revision), act.receipt, at), state="rejected", rejected_reason=act.reason
            )
    others = (changed if r.number == changed.number else r for r in life.revisions)
    return replace(life, revisions=tuple(others))


def _drafted(life: Life, act: Drafted, entry: Entry) -> Life:
    known = life.revision(act.revision)
    if known is None and act.revision != len(life.revisions) + 1:
        raise LookupError(f"revision {act.revision} comes after revision {len(life.revisions)}")
    drafted = Revision(
        number=act.revision, state="draft", draft=act.draft, report=act.report, seal_revision=act.seal_revision,
        seal_digest=act.seal_digest, reason=act.reason, prepared_by=entry.actor, prepared_at=entry.at,
        opened_at=known.opened_at if known else entry.at, place=entry.place,
        attempts=known.attempts if known else (),
    )  # fmt: skip
    return replace(life, revisions=(*life.revisions[: act.revision - 1], drafted, *life.revisions[act.revision :]))


def _ended(revision: Revision, act: Ended, at: datetime) -> Revision:
    if not 0 < act.attempt <= len(revision.attempts):
        raise LookupError(f"revision {revision.number} has no attempt {act.attempt}")
    attempts = tuple(
        replace(a, outcome=act.outcome, note=act.note) if a.number == act.attempt else a for a in revision.attempts
    )
    changed = replace(revision, attempts=attempts)
    if act.outcome == "accepted" and revision.submitted_at is None:
        changed = replace(changed, state="submitted", submitted_at=at)
    return changed


def _answered(revision: Revision, receipt: str, at: datetime) -> Revision:
    """An answer proves that the report has arrived."""
    return replace(revision, receipt=receipt, received_at=at, submitted_at=revision.submitted_at or at)


def _unapproved(revision: Revision) -> Revision:
    return replace(
        revision, approved_by="", approved_at=None, approved_how="", statement="", signature="", allowed_signers=()
    )


def _of(life: Life, number: int) -> Revision:
    if (revision := life.revision(number)) is None:
        raise LookupError(f"there is no revision {number} yet")
    return revision


def _rfc3339(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
