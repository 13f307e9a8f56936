"""The drafts' JSON in ClickHouse. A draft is stored before the ledger names it, and found by its SHA-256 alone.

These functions raise the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed
from schemas.calendar import month_name
from schemas.report import Report

_COLUMNS = ["agreement", "month", "revision", "draft", "sha256", "json"]


def put_report(client: Client, report: Report) -> str:
    """Stores it, unless it is stored already; returns its SHA-256."""
    sha256 = report.sha256
    known = client.query(
        "SELECT count() FROM reports WHERE agreement = %(a)s AND month = %(m)s AND sha256 = %(s)s",
        parameters={"a": report.agreement, "m": report.month, "s": sha256},
    ).result_rows
    if known == [(0,)]:
        client.insert(
            "reports",
            [[
                report.agreement, report.month, report.revision, report.draft, sha256, report.to_json().decode()
            ]],
            column_names=_COLUMNS,
            settings={"insert_deduplication_token": f"report-{report.agreement}-{month_name(report.month)}-{sha256}"},
        )  # fmt: skip
    return sha256


def get_report(client: Client, agreement: str, month: date, sha256: str) -> Report:
    """The report of this SHA-256. Raises CheckFailed when there is none, or it is not what was stored."""
    return Report.model_validate_json(get_json(client, agreement, month, sha256))


def get_json(client: Client, agreement: str, month: date, sha256: str) -> bytes:
    """The report's bytes as they were stored, whatever release stored them. Raises as `get_report` does."""
    return _stored(client, agreement, {month: sha256})[0]


def get_reports(client: Client, agreement: str, wanted: Mapping[date, str]) -> list[Report]:
    """Of each month the agreement's report of this SHA-256, in order of the months. Raises as `get_report` does."""
    return [Report.model_validate_json(stored) for stored in _stored(client, agreement, wanted)]


def _stored(client: Client, agreement: str, wanted: Mapping[date, str]) -> list[bytes]:
    if not wanted:
        return []
    found = client.query(
        "SELECT sha256, any(json) FROM reports WHERE agreement = %(a)s AND month IN %(months)s AND sha256 IN %(s)s"
        " GROUP BY sha256",
        parameters={"a": agreement, "months": list(wanted), "s": list(wanted.values())},
    ).result_rows
    texts = {sha256: str(text).encode() for sha256, text in found}
    return [_checked(texts.get(sha256), agreement, month, sha256) for month, sha256 in sorted(wanted.items())]


def _checked(stored: bytes | None, agreement: str, month: date, sha256: str) -> bytes:
    where = f"the report {sha256[:12]}… of {agreement} {month_name(month)}"
    if stored is None:
        raise CheckFailed(f"{where} is in the ledger but not in the table reports: restore that table")
    if hashlib.sha256(stored).hexdigest() != sha256:
        raise CheckFailed(f"{where} was changed in the table reports: its SHA-256 is another; restore that table")
    return stored
