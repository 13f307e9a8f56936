"""`rollcall status`: what runs, how far the counting is, where the month stands, what is due. `--watch`: live."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from console.output import Format, show
from infra.errors import RollcallError
from schemas.calendar import month_name
from schemas.settings import Settings, load_settings
from schemas.source_declared import length
from stream_jobs.status.picture import Picture, Watcher
from stream_jobs.status.services import Service, services
from stream_jobs.status.sources import SourceState

EVERY_SECONDS = 2.0
_SOURCES = 25
_PARTS = 12
"""Partitions that are shown one by one; more are summed up."""


def status(
    *, format: Format = "table",
    watch: Annotated[bool, Parameter(help="look again every two seconds, until interrupted")] = False,
) -> int:  # fmt: skip
    """Show what runs and where it answers, rate, lag, freshness, the current month by SKU, quarantine, what is due.

    CSV has the servers alone; with --watch, JSON is an object a line. Exit code 3 when a server does not answer, 1 when
    a worker of this machine is stuck.
    """
    settings = load_settings()
    watcher = Watcher(settings)
    try:
        if watch and format == "table" and sys.stdout.isatty():
            return _live(settings, watcher)
        while True:
            code = _once(settings, watcher, format, watch)
            if not watch:
                return code
            time.sleep(EVERY_SECONDS)
    except KeyboardInterrupt:
        return 0


def _once(settings: Settings, watcher: Watcher, format: Format, watch: bool) -> int:
    picture = watcher.look()
    found = services(settings, picture)
    if format == "json":
        print(json.dumps(_facts(picture, found), ensure_ascii=False, default=str, indent=None if watch else 1))
        sys.stdout.flush()
    elif format == "csv":
        columns = ("service", "state", "address", "pid", "version", "data", "log")
        show("csv", columns, found)
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(page(picture, found))
        sys.stdout.flush()
    return exit_code(picture, found)


def exit_code(picture: Picture, found: list[Service]) -> int:
    """What stands still tells a script: 3 a server that does not answer, 1 a worker that is stuck."""
    if any(each.state != "answers" for each in found):
        return 3
    return int(any(worker.stuck for worker in picture.workers))


def _live(settings: Settings, watcher: Watcher) -> int:
    with Live(Text("looking …"), auto_refresh=False, screen=True) as live:
        while True:
            picture = watcher.look()
            live.update(page(picture, services(settings, picture)), refresh=True)
            time.sleep(EVERY_SECONDS)


def _facts(picture: Picture, found: list[Service]) -> dict[str, Any]:
    """The same for machines; a part that could not be read is null, and `errors` says why."""
    log, store, reports = picture.log, picture.store, picture.reports
    errors = {
        name: str(part) for name, part in (("log", log), ("store", store), ("reports", reports))
        if isinstance(part, RollcallError)
    }  # fmt: skip
    facts: dict[str, Any] = {"at": picture.at.isoformat(), "services": [each._asdict() for each in found]}
    facts["log"] = None if isinstance(log, RollcallError) else {
        "lag_records": sum(log.lag.values()), "lag_by_partition": log.lag, "workers": log.members,
        "records_in_per_second": picture.rates and round(picture.rates[0], 1),
        "records_stored_per_second": picture.rates and round(picture.rates[1], 1),
    }  # fmt: skip
    facts["workers"] = [each._asdict() for each in picture.workers]
    facts["store"] = None if isinstance(store, RollcallError) else {
        "generation": store.generation, "newest_append_time": store.newest and store.newest.isoformat(),
        "seconds_since_newest": store.seconds_since_newest, "seconds_since_stored": store.seconds_since_stored,
        "freshness_seconds": store.freshness,
    }  # fmt: skip
    facts |= dict.fromkeys(("month", "quarantine", "tripped", "sources")) if isinstance(store, RollcallError) else {
        "month": [{**row._asdict(), "month": month_name(row.month)} for row in store.month],
        "quarantine": [row._asdict() for row in store.quarantine],
        "tripped": [row._asdict() for row in store.tripped],
        "sources": [row._asdict() for row in store.sources],
    }  # fmt: skip
    facts["reports"] = None if isinstance(reports, RollcallError) else [
        {**row._asdict(), "month": month_name(row.month)} for row in reports
    ]  # fmt: skip
    return {**facts, "errors": errors}


def page(picture: Picture, found: list[Service]) -> RenderableType:
    """What a person sees."""
    return Group(*_blocks(picture, found))


def _blocks(picture: Picture, found: list[Service]) -> Iterator[RenderableType]:
    rows = [(s.name, s.state, s.address, "" if s.pid is None else str(s.pid), s.version, s.log) for s in found]
    yield _table("", ("service", "state", "address", "pid", "version", "log"), rows)
    yield _ingest(picture)
    if picture.workers:
        yield _table("workers of this machine", ("seat", "state", "partitions", "lag", "not well"), [
            (str(w.seat), "stuck" if w.stuck else "ready" if w.ready else "not ready",
             ", ".join(map(str, w.partitions)) or "none", f"{w.lag_records:,}", "; ".join(w.why))
            for w in picture.workers
        ])  # fmt: skip
    store = picture.store
    if not isinstance(store, RollcallError):
        yield _table("this month so far", ("month", "SKU", "name", "tenants", "active users"), [
            (month_name(row.month), row.sku, row.name, f"{row.tenants:,}", f"{row.active_users:,}")
            for row in store.month
        ])  # fmt: skip
        yield _table("waiting in the quarantine, this month and the last", ("reason", "sources", "events"), [
            (row.reason, f"{row.sources:,}", f"{row.events:,}") for row in store.quarantine
        ])  # fmt: skip
        yield _sources(store.sources, picture.at)
        for trip in store.tripped:
            yield Text(
                f"{trip.source} has stopped the workers: {trip.refused:,} of {trip.events:,} events were bad; mend it, "
                f"then `rollcall quarantine lift {trip.source}`", style="bold red",
            )  # fmt: skip
    if isinstance(picture.reports, RollcallError):
        yield Text(f"reports: {picture.reports}", style="red")
    else:
        yield _table("reports to be made", ("month", "agreement", "state", "due", "days left", "waits for"), [
            (month_name(row.month), row.agreement, row.state, f"{row.due}", _days(row.days), row.waits_for)
            for row in picture.reports
        ])  # fmt: skip


def _sources(sources: list[SourceState], at: datetime) -> RenderableType:
    """Silent ones first; what needs somebody is red."""
    rows = []
    for s in sources[:_SOURCES]:
        quiet = "" if s.silent_seconds is None else length(timedelta(seconds=s.silent_seconds))
        # The hour of the newest event is all that is known of its time.
        event = "" if s.last_event is None else f"{s.last_event:%Y-%m-%d %H}h"
        all_sent = "" if s.complete_to is None else f"{s.complete_to:%Y-%m-%d %H:%M}"
        report = "" if s.last_report is None else f"{_ago((at - s.last_report).total_seconds())} ago"
        clock = "" if s.delay_min_ms is None or s.delay_min_ms >= 0 else f"{-s.delay_min_ms / 1000:.1f} s ahead"
        waits = f"{s.spool_bytes:,} bytes wait" if s.spool_bytes else ""
        refused = f"{s.refused:,} records refused" if s.refused else ""
        wrong = "; ".join(each for each in ("silent" if s.silent else "", waits, refused, s.error, clock) if each)
        rows.append((s.source, event, quiet, all_sent, report, Text(wrong, style="bold red" if wrong else "")))
    more = f", {len(sources):,} in all" if len(sources) > _SOURCES else ""
    columns = ("source", "last event, UTC", "expected since", "all sent until", "last report", "not well")
    return _table(f"sources{more}", columns, rows)


def _ingest(picture: Picture) -> RenderableType:
    log, store = picture.log, picture.store
    lines = []
    if isinstance(log, RollcallError):
        lines.append(Text(f"log: {log}", style="red"))
    else:
        lag = {p: n for p, n in sorted(log.lag.items()) if n}
        named = ", ".join(f"{p}: {n:,}" for p, n in list(lag.items())[:_PARTS]) + (" …" if len(lag) > _PARTS else "")
        where = f" (by partition: {named})" if lag else ""
        rates = "" if picture.rates is None else (
            f"   in {picture.rates[0]:,.0f}/s, stored {picture.rates[1]:,.0f}/s"
        )  # fmt: skip
        lines.append(Text(f"records behind: {sum(log.lag.values()):,}{where}{rates}   workers: {log.members}"))
        if lag and not log.members:
            lines.append(Text("no worker is running: start one with `rollcall worker`", style="bold red"))
    if isinstance(store, RollcallError):
        lines.append(Text(f"store: {store}", style="red"))
    elif store.newest is None:
        lines.append(Text("nothing is stored yet"))
    else:
        lines.append(Text(
            f"newest stored record: {store.newest:%Y-%m-%d %H:%M:%S}Z, {_ago(store.seconds_since_newest or 0)} ago; "
            f"append to stored: {_took(store.freshness or 0)}; generation {store.generation}"
        ))  # fmt: skip
    return Group(*lines)


def _days(days: int | None) -> Text:
    if days is None:
        return Text("sent")
    words = f"{-days} overdue" if days < 0 else str(days)
    return Text(words, style="bold red" if days < 0 else "yellow" if days <= 2 else "")


def _took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else _ago(seconds)


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> RenderableType:
    if not rows:
        return Text(f"{title}: none")
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        right = column in ("tenants", "active users", "sources", "events", "lag", "days left")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return table
