"""`rollcall report bundle`: the evidence of a month's report, for an auditor."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from console.output import tell
from console.reporting import AgreementId, MonthName, RevisionNumber, case_of
from infra.lookups import Asker
from stream_jobs.month_close.bundle.make import file_name, make_bundle
from stream_jobs.month_close.report.who import account


def bundle(
    month: MonthName, /, *, agreement: AgreementId = None, revision: RevisionNumber = None,
    output: Annotated[Path | None, Parameter(help="the zip; left out: named after the report")] = None,
    names: Annotated[bool, Parameter(negative="", help="with names.csv: who the pseudonyms are; is kept")] = False,
    reason: Annotated[str, Parameter(help="why names are in it; kept with it")] = "",
) -> None:  # fmt: skip
    """Pack the evidence of a month for an auditor: a zip with the report, what it counts, and how to check it.

    It is checked with the commands in its README.txt, without Rollcall. People are pseudonyms, unless --names.
    """
    case = case_of(month, agreement)
    chosen = case.revision(case.life(), revision)
    file = output or Path(file_name(case.agreement, case.month, chosen.number))
    asker = Asker(account(), "report bundle", reason) if names else None
    made = make_bundle(case.settings, case.client, case.month, case.agreement, chosen.number, file, names=asker)
    size = file.stat().st_size
    tell(f"{file}: revision {chosen.number}, {made.revision.state}, {made.subjects} counted, {size} bytes")
    if names:
        tell("it names people (names.csv, catalogue.yaml): hand it only to who may know them")
    elif made.withheld:
        tell(f"{made.withheld} names in the catalogue's exclusions and free users are withheld; --names leaves them in")
    tell(f"SHA-256 of its MANIFEST.sha256, to tell the auditor by another way: {made.manifest}")
    quoted = shlex.quote(str(file))
    tell(f"to check it: unzip {quoted} -d evidence && cd evidence && grep '^    ' README.txt | bash -e")
    case.tell_next()
