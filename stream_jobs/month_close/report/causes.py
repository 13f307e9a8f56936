"""Why a draft is made: the reason that the ledger keeps, and of a correction the one that is sent. Pure."""

from __future__ import annotations

from schemas.close import Seal
from schemas.report import Adjustment, Report
from stream_jobs.month_close.report.life import Life


def cause_of(life: Life, standing: Report | None, seal: Seal, rebuilt_for: str = "") -> str:
    """In words, from what changed since `standing`, the newest draft, which was made from another seal or this one.

    `rebuilt_for` is the reason that the seal's generation was made for.
    """
    newest = life.newest
    if newest is None or standing is None:
        return "first draft"
    causes = []
    if newest.state == "rejected":
        causes.append(f"rejected by the distributor: {newest.rejected_reason}")
    before = standing.seal
    if seal.generation != before.generation:
        causes.append(f"rebuilt as generation {seal.generation}" + (f": {rebuilt_for}" if rebuilt_for else ""))
    elif seal.catalogue_version != before.catalogue_version:
        causes.append(f"counted by catalogue version {seal.catalogue_version}")
    elif seal.revision != before.revision:
        causes.append(f"logins that arrived after close {before.close_number} were counted")
    for row in life.pending:
        if isinstance(row, Adjustment):
            done = f"{row.tenant} {row.sku} adjusted by {row.quantity:+}"
        else:
            done = f"{next(finding for (_, finding), waiver in life.waivers.items() if waiver == row)} waived"
        causes.append(f"{done} ({row.reason}): {row.text}")
    return "; ".join(causes) or "what it found or shows changed"
