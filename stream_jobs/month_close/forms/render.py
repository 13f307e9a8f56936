"""A report as a file: PDF, XLSX, CSV, JSON, or the distributor's own XLSX form filled.

Pure: the same report and standing give the same bytes. Libraries are loaded by the format that needs them.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from infra.errors import ConfigurationError
from schemas.agreement import Language
from schemas.calendar import month_name
from schemas.report import Report, Standing

Format = Literal["pdf", "xlsx", "csv", "json", "form"]


def render(
    report: Report, format: Format, language: Language, standing: Standing, form: bytes | None = None,
    *, stored: bytes | None = None,
) -> bytes:  # fmt: skip
    """The file's bytes.

    `form` is the distributor's template, needed where the format is `form`. `stored` is the report's JSON as it is
    stored, whose SHA-256 is printed; left out, it is written anew, which is the same unless an earlier release of
    Rollcall stored it. Raises ConfigurationError when the template is missing or cannot be filled.
    """
    raw = report.to_json() if stored is None else stored
    match format:
        case "csv":
            from stream_jobs.month_close.forms.lines_csv import lines_csv

            return lines_csv(report, standing)
        case "json":
            return b'{"report":' + raw + b',"standing":' + standing.model_dump_json().encode() + b"}\n"
        case "xlsx":
            from stream_jobs.month_close.forms.workbook import workbook

            return workbook(report, language, standing, raw)
        case "pdf":
            from stream_jobs.month_close.forms.pdf import pdf

            return pdf(report, language, standing, raw)
        case "form":
            from stream_jobs.month_close.forms.fill import fill

            if form is None:
                raise ConfigurationError(
                    f"agreement {report.agreement} sends a form of its own, but names none: add `form: FILE.xlsx`"
                )
            return fill(form, report, language, standing)


def file_name(report: Report, format: Format) -> str:
    """Such as rollcall-east-2026-10-r1.pdf: the same for every draft of a revision, another for every other one."""
    ending = "-form.xlsx" if format == "form" else f".{format}"
    return f"rollcall-{quote(report.agreement, safe='')}-{month_name(report.month)}-r{report.revision}{ending}"
