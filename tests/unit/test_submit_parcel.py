"""What a revision is sent as: key, files, words. And that the transports are what the ledger's rules take them for."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, get_args

import pytest

from schemas.agreement import Agreement, Language
from schemas.ledger import Act, Approved, Drafted, Entry
from schemas.report import Correction, Report
from stream_jobs.month_close.report.life import Revision, read_life
from stream_jobs.month_close.report.permitted import KEYED
from stream_jobs.month_close.submit.by_hand import ByHand
from stream_jobs.month_close.submit.email import EmailTransport
from stream_jobs.month_close.submit.folder import FolderTransport
from stream_jobs.month_close.submit.https import HttpsTransport
from stream_jobs.month_close.submit.letter import LETTERS, subject, text
from stream_jobs.month_close.submit.parcel import key_of, parcel_of
from stream_jobs.month_close.submit.sftp import SftpTransport
from stream_jobs.month_close.submit.transport import noted
from tests.unit.report_basis import DIGEST, OCTOBER, agreement, catalogue, report

AT = datetime(2026, 11, 4, 9, tzinfo=UTC)
AGREED = agreement(forms=["csv", "json", "csv"], purchase_order="A-4711")


def reported(language: str = "en", **changes: Any) -> Report:
    found = report({("a", "S1"): 1234}, of=catalogue(agreements=[{**AGREED, "language": language}]))
    return found.model_copy(update=changes)


def approved(of: Report, **how: str) -> Revision:
    acts: list[Act] = [
        Drafted(revision=1, draft=1, report=of.sha256, seal_revision=1, seal_digest=DIGEST, reason="first draft"),
        Approved.model_validate(
            {"revision": 1, "draft": 1, "report": of.sha256, "how": "ssh-signature" if how else "os-user", **how}
        ),
    ]
    entries = [Entry(place=n, at=AT, actor="alice", act=act) for n, act in enumerate(acts, 1)]
    newest = read_life(of.agreement, of.month, entries).newest
    assert newest is not None
    return newest


def test_the_key_is_another_for_another_agreement_month_revision_or_report() -> None:
    parts: list[tuple[Any, ...]] = [
        ("east", OCTOBER, 1, "a"), ("east", OCTOBER, 1, "b"), ("east", OCTOBER, 2, "a"),
        ("east", date(2026, 9, 1), 1, "a"), ("east.", OCTOBER, 1, "a"), ("east-", OCTOBER, 1, "a"),
        ("e" * 128, OCTOBER, 1, "a"), ("e" * 127, OCTOBER, 1, "a"),
    ]  # fmt: skip
    keys = [key_of(*p) for p in parts]
    assert len(set(keys)) == len(keys)
    assert keys == [key_of(*p) for p in parts]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,120}", key) for key in keys)


def test_two_attempts_are_the_same_bytes() -> None:
    of = reported()
    stored, revision = of.to_json(), approved(of)
    agreed = Agreement.model_validate(AGREED)
    one = parcel_of(of, stored, revision, agreed)
    assert one == parcel_of(Report.model_validate_json(stored), stored, revision, agreed)
    assert [file.media_type for file in one.files] == ["text/csv", "application/json"]
    assert one.revision == 1
    assert one.report == of.sha256


def test_the_signature_of_the_approver_goes_along() -> None:
    of = reported()
    signed = approved(of, statement="I approve\n", signature="-----BEGIN SSH SIGNATURE-----\n")
    files = {f.name: f.content for f in parcel_of(of, of.to_json(), signed, Agreement.model_validate(AGREED)).files}
    assert files["approval.txt"] == b"I approve\n"
    assert files["approval.txt.sig"] == b"-----BEGIN SSH SIGNATURE-----\n"


@pytest.mark.parametrize(
    ("language", "line", "total"),
    [
        ("en", "PO A-4711: usage report October 2026, revision 1, Provider", "1,234"),
        ("ja", "注文番号 A-4711：利用実績報告書 2026年10月 第1版 Provider", "1,234"),
        ("nl", "Inkooporder A-4711: gebruiksrapport oktober 2026, revisie 1, Provider", "1.234"),
    ],
)
def test_the_letter_is_in_the_agreements_language(language: str, line: str, total: str) -> None:
    of = reported(language)
    assert subject(of) == line
    letter = text(of, "the-key", of.sha256, ["a.pdf"])
    assert {total, "the-key", of.sha256, "a.pdf", "east"} <= set(re.split(r"[\s：、]+", letter)), letter
    zero = of.model_copy(update={"total": of.total.model_copy(update={"measured": 0, "reported": 0})})
    assert total not in text(zero, "k", zero.sha256, [])
    correction = Correction(of_revision=7, reason="two logins came late", differences=[])
    assert "two logins came late" in text(of.model_copy(update={"correction": correction}), "k", "s", [])


def test_without_a_purchase_order_the_subject_begins_with_a_capital() -> None:
    assert subject(reported(purchase_order=None)) == "Usage report October 2026, revision 1, Provider"


def test_every_language_says_the_same() -> None:
    def fields(letter: Any) -> dict[str, set[str | None]]:
        return {k: {f for _, f, _, _ in string.Formatter().parse(v)} - {None} for k, v in letter.items()}

    assert set(LETTERS) == set(get_args(Language))
    assert all(fields(letter) == fields(LETTERS["en"]) for letter in LETTERS.values())


def test_the_transports_carry_the_key_as_the_rules_of_the_ledger_believe() -> None:
    ways = (EmailTransport, HttpsTransport, SftpTransport, FolderTransport, ByHand)
    assert {way.name for way in ways if way.carries_key} == KEYED


def test_what_others_say_fits_a_line() -> None:
    assert noted("a\r\nb\x1b[31m\tc\0") == "a b [31m c"
    assert len(noted("x" * 1000)) == 300
    assert noted("顧客") == "顧客"


def test_another_draft_of_the_revision_has_another_key() -> None:
    """The other side may remember what it said of the first one."""
    one = reported()
    other = replace(approved(one), report="f" * 64)
    agreed = Agreement.model_validate(AGREED)
    assert parcel_of(one, one.to_json(), approved(one), agreed).key != parcel_of(one, b"{}", other, agreed).key
