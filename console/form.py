"""`rollcall form`: a distributor's own XLSX form, checked and filled."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from console.output import Format, show, tell
from console.reporting import AgreementId, MonthName, RevisionNumber, case_of
from infra.clickhouse.client import explained
from infra.errors import ConfigurationError
from schemas.agreement import Language
from schemas.catalogue import Catalogue, parse_catalogue
from schemas.catalogue_text import CatalogueError
from schemas.report import Report
from schemas.settings import load_settings
from stream_jobs.month_close.forms.template import Placeholder, Problem, read_template
from stream_jobs.month_close.forms.template_names import family_of, group_of, sku_of
from stream_jobs.month_close.report.life import standing
from stream_jobs.month_close.report.store import get_json

form = App(name="form", help="A distributor's own XLSX form: check its placeholders, fill it.")

COLUMNS = ("sheet", "cell", "placeholder", "repeated_for")


@form.command
def check(file: Path, /, *, format: Format = "table") -> int:
    """List the placeholders of a form, and everything in it that cannot be filled or kept.

    SKUs and families that it names are held against the catalogue of the settings, where there is one.
    Exit code 1 when something is wrong.
    """
    template = read_template(_bytes(file))
    problems = list(template.problems)
    catalogue = _catalogue(load_settings().catalogue)
    if catalogue is not None:
        problems += _strange(template.placeholders, catalogue)
    show(format, COLUMNS, [(p.sheet, p.cell, p.name, group_of(p.name) or "") for p in template.placeholders])
    for problem in problems:
        tell(str(problem))
    found = f"{file}: {len(template.placeholders)} placeholders, {len(template.repeated)} repeated rows"
    if problems:
        tell(f"{found}; {len(problems)} to mend, see above")
        return 1
    tell(f"{found}; it can be filled")
    tell(f"next: rollcall form fill {file} MONTH, or in the agreement `form: {file}` and `forms: [form]`")
    return 0


@form.command
def fill(
    file: Path, month: MonthName, /, *, agreement: AgreementId = None, revision: RevisionNumber = None,
    language: Annotated[Language | None, Parameter(help="left out: the agreement's")] = None,
    output: Annotated[Path | None, Parameter(help="left out: named after the report")] = None,
) -> None:  # fmt: skip
    """Fill a form with the newest report of a month, whatever its state; nothing is sent."""
    from stream_jobs.month_close.forms.render import file_name, render

    template = _bytes(file)
    case = case_of(month, agreement)
    chosen = case.revision(case.life(), revision)
    with explained(case.settings.clickhouse):
        stored = get_json(case.client, case.agreement, case.month, chosen.report)
    shown = Report.model_validate_json(stored)
    content = render(shown, "form", language or shown.language, standing(chosen), template, stored=stored)
    target = output or Path(file_name(shown, "form"))
    if target.resolve() == file.resolve():
        raise ConfigurationError(f"{file} is the form itself: name another file, --output FILE")
    try:
        target.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}; name another, --output FILE") from None
    tell(f"{target}: revision {chosen.number}, {chosen.state}, {shown.total.reported} reported")
    case.tell_next()


def _strange(placeholders: tuple[Placeholder, ...], catalogue: Catalogue) -> list[Problem]:
    """SKUs and families that the catalogue does not have; they would always be 0."""
    skus = [sku.id for sku in catalogue.skus]
    families = sorted({f"{sku.family}.{sku.deployment}" for sku in catalogue.skus})
    problems = []
    for p in placeholders:
        family = family_of(p.name)
        for asked, known in ((sku_of(p.name), skus), (family and ".".join(family), families)):
            if asked and asked not in known:
                near = difflib.get_close_matches(asked, known, 1, 0.5)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known[:8])}"
                problems.append(Problem(p.sheet, p.cell, f"{{{{{p.name}}}}}: the catalogue has no {asked}; {hint}"))
    return problems


def _catalogue(file: Path) -> Catalogue | None:
    """That of the settings; None, and a word about it, where there is none that can be read."""
    try:
        return parse_catalogue(file.read_text("utf-8"), str(file))
    except (OSError, UnicodeDecodeError, CatalogueError):
        tell(f"{file} cannot be read as a catalogue, so the names of SKUs are not checked")
        return None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}; name a form that is there") from None
