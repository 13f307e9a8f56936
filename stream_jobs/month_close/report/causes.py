"""Why a draft is made: the reason that the ledger keeps, and of a correction the one that is sent. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.generation import Generation
from schemas.close import Seal
from schemas.report import Adjustment, Report
from stream_jobs.month_close.report.life import Life

NOTHING = "what it found or shows changed"


def cause_of(
    life: Life, standing: Report | None, seal: Seal, *, made_for: Sequence[Generation] = (), amended: bool = False
) -> str:
    """In words, from what changed since `standing`, the newest draft, which was made from another seal or this one.

    `made_for` are the generations that were ever made for this month, `amended` says whether the catalogue version
    that the seal cites says something else of the month than the draft's. A correction that is not sent yet, or was
    rejected, corrects the same as the next draft: its reason is kept, and what has changed since is added to it.
    """
    newest = life.newest
    if newest is None or standing is None:
        return "first draft"
    numbers = [*_counted(standing, seal, made_for, amended), *_adjusted(life)]
    kept = [newest.reason] if standing.correction and (not newest.was_sent or newest.state == "rejected") else []
    if kept and not newest.was_sent:
        return "; ".join([*kept, *numbers])
    rejected = [f"rejected by the distributor: {newest.rejected_reason}"] if newest.state == "rejected" else []
    return "; ".join([*kept, *rejected, *numbers, *_waived(life)]) or NOTHING


def _counted(standing: Report, seal: Seal, made_for: Sequence[Generation], amended: bool) -> Iterator[str]:
    before = standing.seal
    if seal.revision == before.revision:
        return
    rebuilt = [g for g in made_for if before.generation < g.number <= seal.generation]
    yield from (f"rebuilt as generation {g.number}: {g.reason}" for g in rebuilt)
    if amended:
        yield f"counted by catalogue version {seal.catalogue_version}"
    if aliases := seal.alias_version != before.alias_version:
        yield f"other names are of one person (aliases) than at close {before.close_number}"
    measured = sum(c.active_users for c in seal.counts) + sum(part.subjects for part in seal.left_out)
    if not rebuilt and not aliases and (not amended or measured != standing.total.measured):
        yield f"logins that arrived after close {before.close_number} were counted"


def _adjusted(life: Life) -> Iterator[str]:
    for row in life.pending:
        if isinstance(row, Adjustment):
            yield f"{row.tenant} {row.sku} adjusted by {row.quantity:+} ({row.reason}): {row.text}"


def _waived(life: Life) -> Iterator[str]:
    for row in life.pending:
        if not isinstance(row, Adjustment):
            finding = next(finding for (_, finding), waiver in life.waivers.items() if waiver == row)
            yield f"{finding} waived ({row.reason}): {row.text}"
