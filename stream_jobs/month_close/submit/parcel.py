"""A revision made ready to be sent: its key, its files, and what the message says. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import date

from schemas.agreement import Agreement, FormFormat
from schemas.calendar import month_name
from schemas.report import Report
from stream_jobs.month_close.forms.render import file_name, render
from stream_jobs.month_close.report.life import Revision, standing
from stream_jobs.month_close.submit.letter import subject, text
from stream_jobs.month_close.submit.transport import File, Parcel

_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Mapping[FormFormat, str] = {
    "pdf": "application/pdf", "xlsx": _WORKBOOK, "form": _WORKBOOK, "csv": "text/csv", "json": "application/json",
}  # fmt: skip
STATEMENT, SIGNATURE = "approval.txt", "approval.txt.sig"
"""The approver's SSH signature, and the text that it is over, where the agreement asks for one."""


def key_of(agreement: str, month: date, revision: int, sha256: str) -> str:
    """The idempotency key: told by its parts to a reader, and by 128 bits of them to a program.

    Letters, digits, `-` and `_` only, so that it may be a header, a folder and a Message-ID.
    """
    parts = f"{agreement}\n{month_name(month)}\n{revision}\n{sha256}\n"
    name = re.sub(r"[^A-Za-z0-9_-]", "-", agreement)[:40]
    return f"{name}-{month_name(month)}-r{revision}-{hashlib.sha256(parts.encode()).hexdigest()[:32]}"


def parcel_of(
    report: Report, stored: bytes, revision: Revision, agreed: Agreement, form: bytes | None = None
) -> Parcel:
    """The same bytes for every attempt, since the revision stands approved until one arrives.

    `stored` is the report's JSON as its table has it, `form` the distributor's template. Raises ConfigurationError
    when that is missing or cannot be filled.
    """
    key = key_of(report.agreement, report.month, revision.number, revision.report)
    files = tuple(_files(report, stored, revision, agreed, form))
    return Parcel(
        key=key, agreement=report.agreement, month=month_name(report.month), revision=revision.number,
        report=revision.report, purchase_order=report.purchase_order, subject=subject(report),
        text=text(report, key, revision.report, [file.name for file in files]), files=files,
    )  # fmt: skip


def _files(
    report: Report, stored: bytes, revision: Revision, agreed: Agreement, form: bytes | None
) -> Iterator[File]:
    for format in dict.fromkeys(agreed.forms):
        content = render(report, format, report.language, standing(revision), form, stored=stored)
        yield File(file_name(report, format), MEDIA_TYPES[format], content)
    if revision.signature:
        # Not text: a mail server may change line ends of text, and the signature holds for these bytes.
        yield File(STATEMENT, "application/octet-stream", revision.statement.encode())
        yield File(SIGNATURE, "application/octet-stream", revision.signature.encode())
