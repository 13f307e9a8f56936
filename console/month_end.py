"""`rollcall month-end`: what is due of every report, from cron, a systemd timer or a CronJob."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from console.output import show, tell
from infra.clickhouse.client import connect
from infra.errors import ConfigurationError, OutOfReach
from schemas.settings import load_settings
from stream_jobs.month_close.unattended.outcome import Outcome, Said
from stream_jobs.month_close.unattended.run import month_end_of


def month_end(
    *,
    at: Annotated[str | None, Parameter(help="the moment to decide by, RFC 3339; left out: now")] = None,
    agreement: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="", help="say what is due, do nothing")] = False,
    drain: Annotated[bool, Parameter(negative="", help="run a worker for each close until it has caught up")] = False,
    format: Annotated[Literal["table", "json"], Parameter(help="json: the scheduler's line only")] = "table",
) -> int:
    """Do what is due: draft, remind, escalate, submit what is approved, report what is overdue.

    Safe to run every hour, and at any point again; two at once are harmless. The last line on standard output is one
    line of JSON. Exit codes: 0 nothing is wrong, 1 something is overdue, failed, or needs a person now, 3 a server is
    out of reach.
    """
    moment = datetime.now(UTC) if at is None else _moment(at)
    settings = load_settings()
    try:
        client = connect(settings)
    except OutOfReach as error:
        outcome = Outcome(moment, dry_run, failed=[Said("", "", "read", str(error))], unreachable=True)
    else:
        one = month_end_of(settings, client, drain=drain, tell=tell)
        outcome = one.run(moment, agreement=agreement, dry_run=dry_run)
    if format == "table":
        rows = [(said.report, word, said.step, said.note) for word, said in outcome.rows()]
        if rows:
            show("table", ("report", "state", "step", "note"), rows)
        else:
            tell("nothing is due, and nothing is waited for")
    for said in outcome.failed:
        tell(f"{said.report}: {said.step} failed: {said.note}".lstrip(": "))
    print(outcome.line())
    return outcome.exit


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigurationError(f"--at {text}: is not a moment with an offset; write it as 2026-11-04T00:00:00+09:00")
    return moment
