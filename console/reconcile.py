"""`rollcall reconcile`: another count of the month held against ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from console.arguments import month_of
from console.output import Format, show, tell
from infra.errors import ConfigurationError
from schemas.settings import load_settings
from stream_jobs.month_close.reconcile.column_map import parse_map
from stream_jobs.month_close.reconcile.desk import reconcile as compared
from stream_jobs.month_close.report.who import account

COLUMNS = ("month", "tenant", "sku", "ours", "theirs", "difference", "our_free", "their_free", "likely_causes")


def reconcile(
    month: Annotated[str, Parameter(help="YYYY-MM")], file: Path, /, *,
    map: Annotated[Path, Parameter(help="column map (YAML): how the file is read; docs/reconciliation.md")],
    agreement: str | None = None, format: Format = "table",
) -> int:  # fmt: skip
    """Import another count of a month (CSV or JSON) and show where it differs from ours, with the likely causes.

    Exit code 1 when anything differs. The import is stored, and changes no count.
    """
    how = parse_map(_read(map).decode(errors="replace"), str(map))
    found = compared(
        load_settings(), month_of(month), _read(file), how, name=str(file), actor=account(), agreement=agreement
    )
    for sentence in (*found.stands_on, *found.notes):
        tell(sentence)
    show(
        format, COLUMNS,
        [
            (
                month, c.tenant, c.sku, c.ours, c.theirs, c.difference, c.our_free, c.their_free,
                "; ".join(cause.text + (" (explains it)" if cause.explains else "") for cause in c.causes),
            )
            for c in found.cells
        ],
    )  # fmt: skip
    tell(f"{found.origin}: {len(found.cells)} counts compared, {found.differing} differ")
    return 1 if found.differing else 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or error
        raise ConfigurationError(f"{path} cannot be read ({why}): name a file that is there") from None
