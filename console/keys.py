"""`rollcall keys`: which pseudonym keys the data is written with, and the next one."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from console.arguments import month_of
from console.output import Format, show, tell
from infra.clickhouse.client import connect, explained
from infra.keyring import FIRST
from infra.keys import add_key, fingerprints, stored_fingerprints
from infra.secrets import pseudonym_keys
from schemas.calendar import month_name
from schemas.settings import load_settings

keys = App(name="keys", help="The pseudonym keys, each from a month on: show, add.")


@keys.command(name="show")
def show_(*, format: Format = "table") -> int:
    """Show each key's fingerprint, here and in ClickHouse, by the month from which it holds. Never a key."""
    settings = load_settings()
    given = fingerprints(pseudonym_keys(settings))
    with connect(settings) as client, explained(settings.clickhouse):
        stored = stored_fingerprints(client)
    rows = [
        ("the first" if month == FIRST else month_name(month), given.get(month), stored.get(month),
         "yes" if given.get(month) == stored.get(month) else "NO")
        for month in sorted(given.keys() | stored.keys())
    ]  # fmt: skip
    show(format, ("from_month", "given", "stored", "same"), rows)
    return 0 if given == stored else 1


@keys.command
def add(*, from_month: Annotated[str, Parameter(help="YYYY-MM, without logins yet")]) -> None:
    """Let a new key begin in a month of which nothing is stored, with all workers stopped.

    Its line stands where the keys are kept already; those of before stay there, for their months.
    """
    settings, month = load_settings(), month_of(from_month)
    with connect(settings) as client:
        added = add_key(settings, client, pseudonym_keys(settings), month)
    if added:
        tell(f"from {from_month} on the new key holds: start the workers with it; back it up, and keep the others")
    else:
        tell(f"that key begins in {from_month} already; nothing was changed")
