"""The words of notices, in the agreement's language. Short: what is so, and the command that brings it on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.agreement import Agreement, Language
from stream_jobs.month_close.forms.words import words
from stream_jobs.month_close.notices.notice import Notice

_EN = {
    "reminder": "Reminder: report {month} is due on {due} ({agreement})",
    "escalation": "Time runs out: report {month} is due on {due} ({agreement})",
    "overdue": "Overdue: report {month} was due on {due} ({agreement})",
    "failure": "Failed: report {month} needs you ({agreement})",
    "open": "There is no draft of it yet.",
    "draft": "Revision {revision} waits for approval.",
    "approved": "Revision {revision} is approved and not sent yet.",
    "rejected": "The distributor rejected revision {revision}.",
    "other": "Revision {revision} is {state}.",
    "to": "Report of {partner} to {distributor} for {month}, due on {due}.",
    "look": "Look at it and bring it on:",
    "next": "If it is right, approve it:",
}
_JA = {
    "reminder": "【確認依頼】{month}分報告書の提出期限は{due}です（{agreement}）",
    "escalation": "【至急】{month}分報告書の提出期限は{due}です（{agreement}）",
    "overdue": "【期限超過】{month}分報告書の提出期限は{due}でした（{agreement}）",
    "failure": "【エラー】{month}分報告書の処理に失敗しました（{agreement}）",
    "open": "報告書はまだ作成されていません。",
    "draft": "第{revision}版が承認待ちです。",
    "approved": "第{revision}版は承認済みですが、まだ提出されていません。",
    "rejected": "第{revision}版は提出先から差し戻されました。",
    "other": "第{revision}版の状態：{state}",
    "to": "{partner}より{distributor}への{month}分の報告書です。提出期限は{due}です。",
    "look": "次のコマンドで確認し、処理を進めてください。",
    "next": "内容が正しければ承認してください。",
}
_NL = {
    "reminder": "Herinnering: rapport {month} moet uiterlijk {due} ingediend zijn ({agreement})",
    "escalation": "De tijd dringt: rapport {month} moet uiterlijk {due} ingediend zijn ({agreement})",
    "overdue": "Te laat: rapport {month} had uiterlijk {due} ingediend moeten zijn ({agreement})",
    "failure": "Mislukt: rapport {month} heeft u nodig ({agreement})",
    "open": "Er is nog geen concept.",
    "draft": "Revisie {revision} wacht op goedkeuring.",
    "approved": "Revisie {revision} is goedgekeurd en nog niet ingediend.",
    "rejected": "De distributeur heeft revisie {revision} afgewezen.",
    "other": "Revisie {revision}: {state}.",
    "to": "Rapport van {partner} aan {distributor} over {month}, uiterlijk in te dienen op {due}.",
    "look": "Bekijk het en ga verder met:",
    "next": "Klopt het, keur het dan goed:",
}
NOTICES: Mapping[Language, Mapping[str, str]] = MappingProxyType({"en": _EN, "ja": _JA, "nl": _NL})


def subject(notice: Notice, agreement: Agreement) -> str:
    w = words(agreement.language)
    return NOTICES[agreement.language][notice.kind].format(
        month=w.month(notice.month), due=w.day(notice.due), agreement=agreement.id
    )


def text(notice: Notice, agreement: Agreement) -> str:
    told, w = NOTICES[agreement.language], words(agreement.language)
    stands = told.get(notice.state, told["other"]).format(
        revision=notice.revision, state=w.texts["state"][notice.state]
    )
    lines = [
        told["to"].format(
            partner=agreement.partner.name, distributor=agreement.distributor.name, month=w.month(notice.month),
            due=w.day(notice.due),
        ),
        stands, *([notice.why] if notice.why else []), "", told["look"], f"    {notice.command(agreement)}",
    ]  # fmt: skip
    if notice.state == "draft":
        approval = notice.command(agreement).replace(" show ", " approve ")
        lines += [told["next"], f"    {approval}"]
    return "\n".join([*lines, ""])
