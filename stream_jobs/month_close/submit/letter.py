"""What stands in the mail that a report is attached to, in the agreement's language. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from schemas.agreement import Language
from schemas.report import Report
from stream_jobs.month_close.forms.words import words

_EN = {
    "order": "PO {order}: ",
    "subject": "{order}usage report {month}, revision {revision}, {partner}",
    "attached": "Attached is the usage report of {partner} to {distributor} for {month}, revision {revision}.",
    "total": "Reported in total: {total}",
    "zero": "This is a report of zero: nothing is due for this month.",
    "corrects": "It replaces revision {before}. Reason: {reason}",
    "agreement": "Agreement: {agreement}",
    "purchase_order": "Purchase order: {order}",
    "files": "Files: {files}",
    "reference": "Reference: {key}",
    "report": "SHA-256 of the report: {sha256}",
    "confirm": "Please confirm that you have received it, or refuse it with a reason, and name the reference.",
}
_JA = {
    "order": "注文番号 {order}：",
    "subject": "{order}利用実績報告書 {month} 第{revision}版 {partner}",
    "attached": "{partner}より{distributor}への{month}分の利用実績報告書（第{revision}版）を添付いたします。",
    "total": "報告数合計：{total}",
    "zero": "本報告はゼロ報告です。当月の報告数はありません。",
    "corrects": "第{before}版を差し替えるものです。理由：{reason}",
    "agreement": "契約：{agreement}",
    "purchase_order": "注文番号：{order}",
    "files": "添付：{files}",
    "reference": "照会番号：{key}",
    "report": "報告書のSHA-256：{sha256}",
    "confirm": "受領のご連絡、または差し戻しの理由を、照会番号を添えてお知らせください。",
}
_NL = {
    "order": "Inkooporder {order}: ",
    "subject": "{order}gebruiksrapport {month}, revisie {revision}, {partner}",
    "attached": "Bijgevoegd is het gebruiksrapport van {partner} aan {distributor} over {month}, revisie {revision}.",
    "total": "Totaal gerapporteerd: {total}",
    "zero": "Dit is een nulrapport: voor deze maand is niets verschuldigd.",
    "corrects": "Het vervangt revisie {before}. Reden: {reason}",
    "agreement": "Overeenkomst: {agreement}",
    "purchase_order": "Inkooporder: {order}",
    "files": "Bestanden: {files}",
    "reference": "Referentie: {key}",
    "report": "SHA-256 van het rapport: {sha256}",
    "confirm": "Bevestig a.u.b. de ontvangst, of wijs het af met een reden, onder vermelding van de referentie.",
}
LETTERS: Mapping[Language, Mapping[str, str]] = MappingProxyType({"en": _EN, "ja": _JA, "nl": _NL})


def subject(report: Report) -> str:
    """One line: purchase order, month, revision, who reports."""
    letter = LETTERS[report.language]
    order = letter["order"].format(order=report.purchase_order) if report.purchase_order else ""
    line = letter["subject"].format(
        order=order, month=words(report.language).month(report.month), revision=report.revision,
        partner=report.partner.name,
    )  # fmt: skip
    line = " ".join(line.split())
    return line[0].upper() + line[1:]


def text(report: Report, key: str, sha256: str, files: Sequence[str]) -> str:
    letter, w = LETTERS[report.language], words(report.language)
    lines = [
        letter["attached"].format(
            partner=report.partner.name, distributor=report.distributor.name, month=w.month(report.month),
            revision=report.revision,
        )
    ]  # fmt: skip
    if report.correction is not None:
        correction = report.correction
        lines.append(letter["corrects"].format(before=correction.of_revision, reason=correction.reason))
    lines += ["", letter["zero"] if report.zero else letter["total"].format(total=w.number(report.total.reported)), ""]
    lines.append(letter["agreement"].format(agreement=report.agreement))
    if report.purchase_order:
        lines.append(letter["purchase_order"].format(order=report.purchase_order))
    lines.append(letter["files"].format(files=", ".join(files)))
    lines.append(letter["reference"].format(key=key))
    lines.append(letter["report"].format(sha256=sha256))
    return "\n".join([*lines, "", letter["confirm"], ""])
