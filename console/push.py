"""`rollcall push`: files of login events into Kafka."""

from __future__ import annotations

import os
import sys
from datetime import date as Date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from console.output import notes, show, tell
from infra.catalogue_file import catalogue_text
from infra.errors import ConfigurationError
from producers.adapters.inventory import parse_inventory
from producers.adapters.login_map import parse_login_map
from producers.client import LoginProducer
from producers.push import Progress as State
from producers.push import PushReport
from producers.push import check as check_files
from producers.push import push as push_files
from producers.source_reports import now, send_report
from producers.sources.programme import as_programme_says
from producers.sources.source import Format, SourceOptions
from schemas.catalogue import parse_catalogue
from schemas.settings import load_settings
from schemas.source_policy import RECONNECTING
from schemas.source_report import SourceReport

NOT_LOGINS = 12


def push(
    files: Annotated[list[str], Parameter(allow_leading_hyphen=True)], /, *,
    format: Annotated[Format | None, Parameter(help="what the files are; cloudevents, or map with --map")] = None,
    columns: Annotated[str | None, Parameter(help="CSV: id=…,time=…,subject=… (column names or numbers)")] = None,
    map: Annotated[str | None, Parameter(help="a YAML file that says how any CSV or JSON is read")] = None,
    policy: Annotated[str | None, Parameter(help="what counts, as NAME=VALUE,…; see the format's page")] = None,
    inventory: Annotated[str | None, Parameter(help="CSV or JSON: which user a machine belongs to")] = None,
    tenant: str | None = None, sku: str | None = None, source: str | None = None,
    zone: Annotated[str | None, Parameter(help="time zone of times without an offset, as Asia/Tokyo")] = None,
    year: Annotated[int | None, Parameter(help="year of the first line, where the source has none")] = None,
    date: Annotated[str | None, Parameter(help="instances: of which day the inventory is, as 2026-10-31")] = None,
    raw: Annotated[bool, Parameter(negative="", help="send lines as they are, unchecked")] = False,
) -> int:  # fmt: skip
    """Push login events from files (plain or .gz, - for standard input) into Kafka.

    Pushing the same file again changes no count. A line that the contract refuses is kept in a reject file that can
    be mended and pushed; the exit code is 1 then.
    """
    settings = load_settings()
    if unknown := [file for file in files if file.startswith("--")]:  # the hyphen is let through for standard input
        raise ConfigurationError(f"Unknown option: {unknown[0]}; `rollcall push --help` tells more")
    table = next((file for file in files if file.lower().endswith((".csv", ".csv.gz"))), None)
    if table is not None and format is None and map is None and not raw:
        raise ConfigurationError(
            f"{table}: name its columns (--format csv --columns time=…,subject=…), its broker's format, or a --map; "
            f"see docs/sources"
        )
    options = SourceOptions(
        format or ("map" if map else "cloudevents"), _columns(columns), tenant, sku, source, zone, year, raw,
        parse_login_map(read_text(map), os.path.basename(map)) if map else None, policies(policy),
        parse_inventory(read_text(inventory), os.path.basename(inventory)) if inventory else None, _day(date),
    )  # fmt: skip
    if options.format in ("instances", *RECONNECTING) and (text := catalogue_text(settings)) is not None:
        options = as_programme_says(options, parse_catalogue(text, str(settings.catalogue)))
    check_files(files, options)
    with LoginProducer(settings.kafka) as producer, Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn(),
        console=notes, transient=True, disable=not notes.is_terminal,
    ) as bar:  # fmt: skip
        tasks = {}

        def progress(state: State) -> None:
            if state.file not in tasks:
                tasks[state.file] = bar.add_task(state.file, total=state.size, state="")
            rate = state.sent / state.seconds if state.seconds > 0 else 0
            bar.update(
                tasks[state.file], completed=state.bytes_read, state=f"{state.sent:,} sent, {rate:,.0f}/s"
            )  # fmt: skip

        report = push_files(
            files, options, producer, rejects=settings.home / "rejects", stdin=sys.stdin.buffer, progress=progress
        )
        if source is not None:  # a file says nothing of what is in no file: no watermark
            refused = sum(report.refused.values())
            send_report(producer, SourceReport(
                source=source, kind="heartbeat", at=now(), error=f"{refused:,} lines were refused" if refused else "",
            ))  # fmt: skip
    _tell(report)
    return 0 if report.complete else 1


def _columns(text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise ConfigurationError(f"--columns {text}: write pairs, as id=event_id,time=timestamp,subject=user")
    return {name.strip(): column.strip() for name, _, column in pairs}


def _day(text: str | None) -> Date | None:
    try:
        return Date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(f"--date {text}: write a day, as 2026-10-31") from None


def policies(text: str | None) -> dict[str, str]:
    """`reconnects=ignore,user=sid` as pairs."""
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ConfigurationError(f"--policy {text}: write pairs, as reconnects=ignore")
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _tell(report: PushReport) -> None:
    show(
        "table", ("file", "lines", "sent", "skipped", "refused", "events/s"),
        [(f.file, f.lines, f.sent, f.skipped, sum(f.refused.values()), round(f.rate)) for f in report.files],
    )  # fmt: skip
    for file in report.files:
        for example in file.examples:
            tell(f"{file.file}:{example.line}: {example.reason}: {example.detail}")
        for why, count in sorted(file.not_logins.items(), key=lambda pair: -pair[1])[:NOT_LOGINS]:
            tell(f"{file.file}: {count:,} not a login: {why}")
        shown = len(file.examples)
        if sum(file.refused.values()) > shown:
            tell(f"{file.file}: and {sum(file.refused.values()) - shown} more refused lines")
        if file.fault:
            tell(f"{file.file}: {file.fault}")
        if file.reject_file:
            tell(f"refused lines are kept in {file.reject_file}: mend them there and push that file")
