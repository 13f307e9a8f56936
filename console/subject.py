"""`rollcall subject`: what is stored about a person, that the name goes, and who looked at names."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from console.output import Format, show, tell
from console.reporting import now
from infra.clickhouse.client import connect, explained
from infra.lookups import Asker, lookups
from schemas.calendar import month_name
from schemas.settings import load_settings
from stream_jobs.month_close.report.who import account
from stream_jobs.subjects import erase as erasing
from stream_jobs.subjects import export as exporting

subject = App(name="subject", help="A person's rights: export, erase; who looked at names.")

Tenant = Annotated[str, Parameter(help="the tenant's id")]
Name = Annotated[
    str, Parameter(help="as a broker spells it; - reads it from standard input", allow_leading_hyphen=True)
]


@subject.command
def export(tenant: Tenant, name: Name, /, *, reason: str = "") -> None:
    """Print all that is stored about a person, as JSON, and where else the name may be. The look is kept."""
    settings, asker = load_settings(), Asker(account(), "subject export", reason)
    with connect(settings) as client:
        found = exporting.export(settings, client, tenant, _read(name), asker, now())
    json.dump(found, sys.stdout, ensure_ascii=False, indent=1, default=_text)
    print()


@subject.command
def erase(tenant: Tenant, name: Name, /, *, reason: Annotated[str, Parameter(help="why; kept with it")]) -> None:
    """Take a person's name out of ClickHouse, for good. What was counted stays counted, under a pseudonym."""
    settings, asker = load_settings(), Asker(account(), "subject erase", reason)
    with connect(settings) as client:
        done = erasing.erase(settings, client, tenant, _read(name), asker, now())
    tell(
        ("erased again" if done.before else "erased") + f": {done.names} stored names taken out; no worker, rebuild or "
        "replay stores it again; counts and seals are as they were"
    )
    if done.others:
        tell(
            f"{done.others} other names of the same person are stored: `rollcall subject export` shows them under "
            "other_names; erase each by itself"
        )
    tell(
        "exclusions and free users with the exact name find the person as before; a pattern (`adm-*`) finds no erased "
        "name: where one left the person out, the next close counts them, unless an entry with the exact name is added"
    )
    for place in done.kept:
        until = f"until {place.until:%Y-%m-%d} at the latest" if place.until else "until it is taken out"
        tell(f"still there: {place.where}, {until} ({place.what})")


@subject.command(name="lookups")
def lookups_(*, tenant: str | None = None, limit: int = 100, format: Format = "table") -> None:
    """List who looked at names, the newest first."""
    settings = load_settings()
    with connect(settings) as client, explained(settings.clickhouse):
        found = lookups(client, tenant=tenant, limit=limit)
    columns = ("at", "actor", "account", "command", "tenant", "sku", "month", "subjects", "reason")
    rows = [{**each._asdict(), "month": month_name(each.month) if each.month else ""} for each in found]
    show(format, columns, [[row[column] for column in columns] for row in rows])


def _read(name: str) -> str:
    return sys.stdin.readline().strip() if name == "-" else name


def _text(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
