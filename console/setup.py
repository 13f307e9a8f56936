"""`rollcall migrate` and `catalogue`: what must be in place before anything is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from console.alias import tell_changed
from console.output import Format, show, tell
from infra.catalogue import apply as apply_catalogue
from infra.catalogue import checked, stored_versions
from infra.clickhouse.client import connect, explained
from infra.errors import ConfigurationError
from infra.migrate import migrate as migrate_all
from schemas.settings import load_settings

catalogue = App(name="catalogue", help="What may be counted, and by which rules.")


def migrate() -> None:
    """Create or bring up to date ClickHouse's tables and views, Kafka's topics, and the first catalogue version."""
    loaded = load_settings()
    migrate_all(loaded, tell)
    with connect(loaded) as client:
        tell_changed(loaded, client)


@catalogue.command
def check(file: Path, /) -> None:
    """Check a catalogue file; every fault is named with its line. Nothing is stored."""
    checked(_text(file), str(file))
    tell(f"{file}: no faults")


@catalogue.command
def apply(file: Path, /, *, amend: Annotated[str, Parameter(help="the reason to change sealed months")] = "") -> None:
    """Store a catalogue file as the next version; it holds from its control records on. Safe to repeat.

    A version that changes the rules, agreements or allowances of a month that is sealed is refused, unless --amend
    gives the reason, which is stored with it.
    """
    loaded = load_settings()
    text = _text(file)
    with explained(loaded.clickhouse):
        result = apply_catalogue(loaded, connect(loaded), text, str(file), amend)
    for change in result.amended:
        tell(f"amended: {change.partition(': ')[0]}")
    done = "stored as" if result.stored else "is already"
    tell(f"{file} {done} version {result.version}; it holds for every login that reaches Kafka from now on")
    with connect(loaded) as client:
        tell_changed(loaded, client)
    if result.amended:
        tell(f"the reason is stored with it: {amend.strip()}")
        tell("next: `rollcall close MONTH` of these months makes the corrections")


@catalogue.command
def history(*, format: Format = "table") -> None:
    """List the stored versions."""
    loaded = load_settings()
    with explained(loaded.clickhouse):
        versions = stored_versions(connect(loaded))
    show(format, ("version", "sha256", "stored_at", "reason"), [v[:2] + v[3:] for v in versions])


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8 text: save it as UTF-8 YAML") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read ({error.strerror}): name a catalogue file") from None
