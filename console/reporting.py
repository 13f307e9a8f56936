"""What the commands of `rollcall report` share: which report is meant, and the line that says what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

from clickhouse_connect.driver.client import Client
from cyclopts import Parameter

from console.arguments import month_of
from console.output import tell
from infra.clickhouse.client import connect, explained
from infra.errors import CheckFailed, ConfigurationError
from schemas.calendar import month_name
from schemas.report import Report
from schemas.settings import Settings, load_settings
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger, read_lives
from stream_jobs.month_close.report.life import Life, Revision
from stream_jobs.month_close.report.next_step import next_step
from stream_jobs.month_close.report.store import get_report
from stream_jobs.month_close.seal import newest_seal, seals

MonthName = Annotated[str, Parameter(help="YYYY-MM")]
AgreementId = Annotated[str | None, Parameter(name="--agreement", help="needed where several report the month")]
RevisionNumber = Annotated[int | None, Parameter(name="--revision", help="left out: the newest")]


@dataclass(frozen=True)
class Case:
    """The report that a command is about, and the ways to it. `several`: the month has other agreements' too."""

    settings: Settings
    client: Client
    month: date
    agreement: str
    several: bool

    def life(self) -> Life:
        with explained(self.settings.clickhouse):
            return Ledger(self.client, self.agreement, self.month).life()

    def revision(self, life: Life, number: int | None = None) -> Revision:
        """The revision of this number, or the newest. Raises CheckFailed when there is none."""
        name = month_name(self.month)
        if life.newest is None:
            raise CheckFailed(f"{self.agreement} {name} has no draft yet: `rollcall report draft {name}` makes one")
        found = life.newest if number is None else life.revision(number)
        if found is None:
            raise CheckFailed(f"{self.agreement} {name} has {len(life.revisions)} revisions, and no revision {number}")
        return found

    def report(self, revision: Revision) -> Report:
        with explained(self.settings.clickhouse):
            return get_report(self.client, self.agreement, self.month, revision.report)

    def newest_only(self, number: int | None) -> None:
        """Raises CheckFailed when a revision is asked for that is not the newest: nothing else can be changed."""
        life = self.life()
        newest = self.revision(life)
        if number is not None and number != newest.number:
            raise CheckFailed(
                f"{self.agreement} {month_name(self.month)} stands at revision {newest.number}: what was sent is never "
                "changed, and an earlier one neither"
            )

    def tell_next(self) -> None:
        """The last line of every command: what comes next."""
        tell(f"next: {self.next_step()}")

    def next_step(self) -> str:
        life = self.life()
        report = self.report(life.newest) if life.newest else None
        with explained(self.settings.clickhouse):
            seal = newest_seal(self.client, self.month, self.agreement)
            agreed = agreement_now(self.client, self.agreement, self.month)
        return next_step(life, report, agreed, seal.revision if seal else 0, several=self.several)


def case_of(month: str, agreement: str | None) -> Case:
    """The report that is meant. Raises ConfigurationError where a month has several and none is named."""
    settings, first = load_settings(), month_of(month)
    client = connect(settings)
    known = agreements_of(settings, client, first)
    if agreement is None and len(known) == 1:
        agreement = known[0]
    if not known:
        raise CheckFailed(f"{month} is not closed yet: `rollcall close {month}` counts and seals it, and makes a draft")
    if agreement is None:
        raise ConfigurationError(f"{month} has several reports: name one, --agreement {' | '.join(known)}")
    if agreement not in known:
        raise ConfigurationError(f"{month} has no report of {agreement}; it has: {', '.join(known)}")
    return Case(settings, client, first, agreement, len(known) > 1)


def agreements_of(settings: Settings, client: Client, month: date) -> list[str]:
    """Every agreement that has a seal or a report of the month."""
    with explained(settings.clickhouse):
        sealed = {seal.agreement for seal in seals(client, month)}
        return sorted(sealed | {id for id, _ in read_lives(client, month=month)})


def now() -> datetime:
    return datetime.now(UTC)
