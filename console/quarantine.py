"""`rollcall quarantine`: the events that were set aside, and what to do with them."""

from __future__ import annotations

import sys
from datetime import date
from typing import Annotated, Literal

from clickhouse_connect.driver.client import Client
from cyclopts import App, Parameter

from console.arguments import month_of
from console.output import Format, show, tell
from infra.clickhouse.client import connect, explained
from infra.errors import ConfigurationError
from infra.lookups import Asker
from schemas.quarantine import REASONS, Origin, State
from schemas.settings import Settings, load_settings
from stream_jobs.month_close.report.who import account
from stream_jobs.quarantine import desk

quarantine = App(name="quarantine", help="Events that were set aside: list, show, replay, waive, lift.")

StateName = Literal["quarantined", "waived", "replayed", "counted"]
Month = Annotated[str | None, Parameter(help="YYYY-MM, by the event's own time")]
Source = Annotated[str | None, Parameter(help="the broker that sent it")]
Reason = Annotated[str | None, Parameter(help="a reason code")]
Origins = Annotated[list[str], Parameter(help="as `list` shows them; left out: all that the options select")]


@quarantine.command(name="list")
def list_(
    *, month: Month = None, source: Source = None, reason: Reason = None, state: StateName | None = None,
    limit: int = 100, format: Format = "table",
) -> None:  # fmt: skip
    """List the events that were set aside, the newest first, and how many there are by source and reason."""
    settings, client = _connected()
    chosen = State[state] if state else None
    with explained(settings.clickhouse):
        found = desk.list_entries(
            client, month=_month(month), source=source, reason=_reason(reason), state=chosen, limit=limit
        )
        total = desk.total(client, month=_month(month), source=source, reason=reason, state=chosen)
        tallies = desk.summary(client, month=_month(month))
    if format != "table":
        show(
            format,
            ("origin", "state", "replay", "reason", "detail", "source", "event_time", "append_time"),
            [
                (str(e.origin), e.state.name, e.replay, e.reason, e.detail, e.source, e.event_time, e.append_time)
                for e in found
            ],
        )
    else:
        show("table", ("origin", "state", "reason"), [(str(e.origin), e.state.name, e.reason) for e in found])
        by_reason = [(t.source, t.reason, t.state.name, t.events) for t in tallies]
        show("table", ("source", "reason", "state", "events"), by_reason)
        tell(f"{len(found)} of {total} events shown" + (f"; {_standing(client)}" if desk.tripped(client) else ""))


@quarantine.command(name="show")
def show_(origin: str, /, *, reason: Annotated[str, Parameter(help="why; kept with the look")] = "") -> None:
    """Show one event with its bytes and headers as they came. Names of people are in them: the look is kept."""
    settings, client = _connected()
    shown = desk.show(settings, client, _origin(origin), Asker(account(), "quarantine show", reason))
    entry = shown.entry
    meanings = {str(reason): meaning for reason, meaning in REASONS.items()}
    tell(f"{entry.state.name}, {entry.reason}: {meanings.get(entry.reason, '')}; {entry.detail}")
    for name, value in shown.headers:
        tell(f"{name}: {(value or b'').decode('utf-8', 'backslashreplace')}")
    sys.stdout.buffer.write(shown.value + b"\n")


@quarantine.command
def replay(origins: Origins = [], /, *, month: Month = None, source: Source = None, reason: Reason = None) -> int:  # noqa: B006  # cyclopts' way to "none given"
    """Send events round again, after the catalogue or the source was mended; each counts in its own month."""
    settings, client = _connected()
    report = desk.replay(settings, client, _selection(origins, month, source, reason), tell)
    tell(f"{report.sent} sent round again; the worker judges them anew")
    for what, left in (
        ("are no longer in the topic", report.missing), ("are too large for the topic", report.too_large),
        ("are control records: waive them", report.controls),
    ):  # fmt: skip
        for origin in left:
            tell(f"{origin} not sent: they {what}".replace("they are", "it is"))
    return 1 if report.missing or report.too_large or report.controls else 0


@quarantine.command
def waive(origins: Origins = [], /, *, month: Month = None, source: Source = None, reason: Reason = None) -> None:  # noqa: B006  # cyclopts' way to "none given"
    """Let events rest: they are rightly not counted. They can still be replayed. Name which ones."""
    settings, client = _connected()
    selection = _selection(origins, month, source, reason)
    if not (origins or month or source or reason):
        raise ConfigurationError("name the events to waive, by origin or by --month, --source or --reason")
    with explained(settings.clickhouse):
        waived = desk.waive(client, selection)
    tell(f"{waived} waived")


@quarantine.command
def lift(source: str, /) -> None:
    """Let pass what a source, stopped by the cap, has in the log now; what comes after is judged anew."""
    settings, client = _connected()
    trip = desk.lift(settings, client, source)
    tell(f"{source} is lifted ({trip.refused} of {trip.events} events were refused): start the worker again")


def _connected() -> tuple[Settings, Client]:
    settings = load_settings()
    return settings, connect(settings)


def _selection(origins: list[str], month: str | None, source: str | None, reason: str | None) -> desk.Selection:
    return desk.Selection(tuple(_origin(o) for o in origins), _month(month), source, _reason(reason))


def _origin(text: str) -> Origin:
    try:
        return Origin.parse(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not an origin: write TOPIC-ID/PARTITION/OFFSET/PLACE, as `rollcall quarantine list` shows it"
        ) from None


def _month(text: str | None) -> date | None:
    return month_of(text) if text else None


def _reason(text: str | None) -> str | None:
    if text is not None and text not in REASONS:
        raise ConfigurationError(f"{text!r} is not a reason code; they are {', '.join(REASONS)}")
    return text


def _standing(client: Client) -> str:
    sources = ", ".join(repr(trip.source) for trip in desk.tripped(client))
    return f"the cap stops the workers for {sources}: `rollcall quarantine lift SOURCE`"
