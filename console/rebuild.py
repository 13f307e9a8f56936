"""`rollcall rebuild`: a month of the log read again; the difference shown, and put in force if that is asked for."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from console.arguments import month_of
from console.output import Format, show, tell
from infra.clickhouse.client import connect
from infra.errors import ConfigurationError
from schemas.settings import load_settings
from schemas.voids import Void, VoidsError, parse_voids
from stream_jobs.dedup.rebuild import AS_THE_LOG_SAYS, trial
from stream_jobs.dedup.rebuild_accept import Trial
from stream_jobs.month_close.compare import Comparison, compare

COLUMNS = ("agreement", "revision", "tenant", "sku", "before", "after", "gone", "new", "gone_subjects", "new_subjects")


def rebuild(
    month: Annotated[str, Parameter(help="YYYY-MM")], /, *,
    catalogue: Annotated[int | Literal["log"] | None, Parameter(help="catalogue version; log: as the log says")] = None,
    void: Annotated[Path | None, Parameter(help="file of what to leave out: source, from, to, reason")] = None,
    accept: Annotated[bool, Parameter(negative="", help="put it in force")] = False,
    reason: Annotated[str, Parameter(help="why, for the record")] = "", format: Format = "table",
) -> int:  # fmt: skip
    """Read a month again from the log, and show what would count otherwise; nothing changes without --accept.

    Exit code 0: the same as the seals, or accepted; 1: different, and not accepted.
    """
    settings, first = load_settings(), month_of(month)
    voids = _voids(void) if void else []
    version = AS_THE_LOG_SAYS if catalogue == "log" else catalogue
    if catalogue is not None and catalogue != "log" and catalogue < 1:
        raise ConfigurationError(f"{catalogue} is no catalogue version: they count from 1; `log` reads as the log says")
    with trial(settings, first, catalogue=version, voids=voids, now=datetime.now(UTC), tell=tell) as tried:
        generation = tried.generation
        found = compare(settings, connect(settings), first, generation)
        _say(tried, found)
        rows = [row for comparison in found for row in _rows(comparison)]
        if rows or format != "table":
            show(format, COLUMNS, rows)
        same = all(comparison.same for comparison in found)
        if not accept:
            if not same:
                tell("nothing was changed: with --accept this is put in force")
            return 0 if same else 1
        accepted = tried.accept(reason or _reason(generation.catalogue_version, voids), getpass.getuser())
        if accepted.number != generation.number:
            tell(f"generation {accepted.number} holds exactly this already, and stays in force")
        if not same:
            tell(f"next: start the workers again, then `rollcall close {month}` makes the corrections")
    return 0


def _say(tried: Trial, found: list[Comparison]) -> None:
    tell(f"{tried.records:,} records read")
    if tried.behind:
        tell(f"{tried.behind:,} records that the dedup job has not read yet are not among them; they follow later")
    if tried.voided:
        tell(f"{tried.voided:,} events left out by void rules")
    if tried.to_count:
        tell(f"{len(tried.to_count):,} events of the quarantine are counted now")
    if tried.to_set_aside:
        tell(f"{len(tried.to_set_aside):,} events that were counted go to the quarantine")
    if not found:
        tell("no login is of this month, and nothing is sealed")
    for comparison in found:
        if comparison.revision is None:
            what = "the same as the table in force" if comparison.same else "not the same as the table in force"
            tell(f"{comparison.agreement}: not closed; {what}")
        elif comparison.same:
            tell(f"{comparison.agreement}: the same digest as revision {comparison.revision}: {comparison.digest}")
        else:
            tell(f"{comparison.agreement}: differs from revision {comparison.revision}: {comparison.digest} became "
                 f"{comparison.rebuilt_digest}")  # fmt: skip
            if not comparison.cells:
                tell(f"{comparison.agreement}: the same subjects, but others of them are left out")


def _rows(comparison: Comparison) -> list[tuple[object, ...]]:
    return [
        (
            comparison.agreement, comparison.revision, cell.tenant, cell.sku, cell.before, cell.after, cell.gone,
            cell.new, " ".join(cell.gone_subjects), " ".join(cell.new_subjects),
        )
        for cell in comparison.cells
    ]  # fmt: skip


def _voids(file: Path) -> list[Void]:
    try:
        return parse_voids(file.read_text("utf-8"), str(file))
    except VoidsError as error:
        raise ConfigurationError(str(error)) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8 text: save it as UTF-8 YAML") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read ({error.strerror}): name a file of void rules") from None


def _reason(version: int, voids: list[Void]) -> str:
    said = [f"catalogue version {version}"] if version else []
    return "; ".join([*said, *(f"{void.source}: {void.reason}" for void in voids)]) or "read again as the log says"
