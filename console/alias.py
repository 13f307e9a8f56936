"""`rollcall alias`: names of one person, proposed and decided."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

from clickhouse_connect.driver.client import Client
from cyclopts import App, Parameter

from console.arguments import month_of
from console.output import Format, show, tell
from infra.clickhouse.client import connect, explained
from infra.errors import ConfigurationError
from infra.lookups import Asker, keep
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.calendar import month_name
from schemas.catalogue import Catalogue
from schemas.settings import Settings, load_settings
from stream_jobs.month_close.aliases import desk
from stream_jobs.month_close.aliases.exports import Group, from_csv, from_ldif
from stream_jobs.month_close.aliases.ledger import ALWAYS, NEVER, Act, ActKind, acts
from stream_jobs.month_close.aliases.resolve import resolve_again
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.left_out import names_readable
from stream_jobs.month_close.report.who import account

alias = App(name="alias", help="Names of one person: import, propose, list, accept, refuse.")

Why = Annotated[str, Parameter(help="the reason, which is kept")]
Tenant = Annotated[str | None, Parameter(help="of this tenant only")]
FromMonth = Annotated[str | None, Parameter(help="YYYY-MM; left out: as proposed")]
ToMonth = Annotated[str | None, Parameter(help="YYYY-MM, the first month that is out; left out: as proposed")]


@alias.command(name="import")
def import_(
    file: Path, /, *, tenant: str, format: Literal["csv", "ldif"] = "csv",
    domain: Annotated[str, Parameter(help="of accounts that name none, as CORP")] = "", why: Why = "",
) -> int:  # fmt: skip
    """Propose what a directory's export or a list of renames says. Nothing is applied before somebody accepts it."""
    settings = load_settings()
    try:
        text = file.read_text("utf-8-sig")
        found = list((from_csv if format == "csv" else from_ldif)(text, domain))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read ({error.strerror}): name another file") from None
    except ValueError as error:
        raise ConfigurationError(f"{file}: {error}") from None
    groups = [one for one in found if isinstance(one, Group)]
    refused = [one for one in found if isinstance(one, str)]
    with connect(settings) as client, explained(settings.clickhouse):
        hashed = MonthlyPseudonyms(pseudonym_keys(settings))
        made = desk.propose_groups(client, _catalogue(client), hashed, tenant, groups, str(file), _hand(why))
    for sentence in refused[:20]:
        tell(f"{file}: {sentence}")
    tell(f"{file}: {len(made)} new proposals of {len(groups)} people, {len(refused)} lines without; "
         "next: `rollcall alias list`")  # fmt: skip
    return 1 if refused else 0


@alias.command
def propose(
    tenant: str | None = None, /, *names: str, from_month: FromMonth = None, to_month: ToMonth = None, why: Why = "",
) -> None:  # fmt: skip
    """Propose that NAMES of TENANT are one person; without names, whatever events showed and nobody was told of."""
    settings = load_settings()
    with connect(settings) as client, explained(settings.clickhouse):
        if names:
            if len(names) < 2 or tenant is None:
                raise ConfigurationError("name the tenant and two names or more, as `alias propose TENANT NAME NAME`")
            group = Group("", names, _month(from_month), _month(to_month))
            hashed = MonthlyPseudonyms(pseudonym_keys(settings))
            made = desk.propose_groups(
                client, _catalogue(client), hashed, tenant, [group], f"proposed by {account()}", _hand(why)
            )
        else:
            made = desk.propose_seen(client, _catalogue(client), _hand(why), tenant)
    tell(f"{len(made)} new proposals" + (f", {made[0].number} to {made[-1].number}" if made else ""))


@alias.command(name="list")
def list_(
    *, tenant: Tenant = None,
    all: Annotated[bool, Parameter(negative="", help="proposals and decisions of before, too")] = False,
    names: Annotated[bool, Parameter(negative="", help="say who they are; needs the right to read names")] = False,
    reason: Annotated[str, Parameter(help="why names are looked at, which is kept")] = "", format: Format = "table",
) -> None:  # fmt: skip
    """List the open proposals, or with --all everything that was proposed and decided."""
    settings = load_settings()
    with connect(settings) as client, explained(settings.clickhouse):
        found = acts(client, tenant) if all else desk.waiting(client, tenant)
        known = _names(client, found, Asker(account(), "alias list", reason)) if names and found else {}
    rows = [
        (
            act.number, act.act, act.tenant, *(known.get(one, one.hex()) for one in act.link), _shown(act.valid_from),
            _shown(act.valid_to), act.origin, act.actor, f"{act.at:%Y-%m-%d %H:%M}", act.why,
        )
        for act in found
    ]  # fmt: skip
    show(format, ("number", "act", "tenant", "one", "other", "from", "to", "origin", "actor", "at", "why"), rows)


@alias.command
def accept(
    *numbers: int, why: Why, all: Annotated[bool, Parameter(negative="", help="every open proposal")] = False,
    tenant: Tenant = None, from_month: FromMonth = None, to_month: ToMonth = None,
) -> None:  # fmt: skip
    """Accept proposals by number: from now on they merge at the count, in their months. Sealed months are corrected
    when they are closed again."""
    _decide("accepted", numbers, all, tenant, why, from_month, to_month)


@alias.command
def refuse(
    *numbers: int, why: Why, all: Annotated[bool, Parameter(negative="", help="every open proposal")] = False,
    tenant: Tenant = None, from_month: FromMonth = None, to_month: ToMonth = None,
) -> None:  # fmt: skip
    """Refuse proposals by number, or part what was accepted; no policy applies them then."""
    _decide("refused", numbers, all, tenant, why, from_month, to_month)


def _decide(
    kind: ActKind, numbers: tuple[int, ...], all: bool, tenant: str | None, why: str, start: str | None,
    end: str | None,
) -> None:  # fmt: skip
    if bool(numbers) == all:
        raise ConfigurationError("name proposals by their numbers, or --all; `rollcall alias list` shows them")
    if not why.strip():
        raise ConfigurationError("say why with --why: the reason is kept with the decision")
    settings = load_settings()
    with connect(settings) as client, explained(settings.clickhouse):
        wanted = numbers or tuple(act.number for act in desk.waiting(client, tenant))
        made = desk.decide(client, wanted, kind, _hand(why), _month(start), _month(end))
        tell(f"{len(made)} {kind}")
        if made:
            tell_changed(settings, client, desk.months_of(made))


def tell_changed(settings: Settings, client: Client, months: tuple[date, date] = (ALWAYS, NEVER)) -> None:
    """Resolves again, and says what was changed of sealed months."""
    changed = resolve_again(settings, client, datetime.now(UTC).date(), months)
    with explained(settings.clickhouse):
        sealed = {row[0] for row in client.query("SELECT DISTINCT month FROM seals").result_rows}
    if late := [month_name(month) for month in changed if month in sealed]:
        tell(f"sealed: {', '.join(late)}; `rollcall close MONTH` makes the correction, if any")


def _names(client: Client, found: list[Act], asker: Asker) -> dict[bytes, str]:
    subjects = sorted({one for act in found for one in act.link})
    keep(client, asker, len(subjects))
    with names_readable(client):
        rows = client.query(
            "SELECT subject, any(name) FROM known_names WHERE subject IN"
            " (SELECT toFixedString(unhex(arrayJoin(%(subjects)s)), 16)) GROUP BY subject",
            parameters={"subjects": [subject.hex() for subject in subjects]},
        ).result_rows
    return dict(rows)


def _catalogue(client: Client) -> Catalogue:
    versions = stored_versions(client)
    if versions.newest is None:
        raise ConfigurationError("no catalogue is stored: `rollcall migrate` stores the first version")
    return versions.at(versions.newest)


def _hand(why: str) -> desk.Hand:
    return desk.Hand(account(), datetime.now(UTC), why.strip())


def _month(text: str | None) -> date | None:
    return None if text is None else month_of(text)


def _shown(day: date) -> str:
    return "" if day in (ALWAYS, NEVER) else month_name(day) if day.day == 1 else day.isoformat()
