"""Telling people: by e-mail and by a signed webhook.

Told first and written into the ledger after: killed in between, the same notice comes again, which is better than
never. Both carry an id that is the same then, so that a mail program or the receiver of the webhook can see it.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from infra.errors import RollcallError
from schemas.agreement import Agreement
from schemas.calendar import month_name
from schemas.settings import Settings
from stream_jobs.month_close.notices.notice import Notice
from stream_jobs.month_close.notices.wording import subject, text
from stream_jobs.month_close.submit.email import new_message
from stream_jobs.month_close.submit.signed import NoAnswer, NotReached, Signed, checked_url
from stream_jobs.month_close.submit.smtp import MaybeSent, NotSent, hand_over, mail_server
from stream_jobs.month_close.submit.transport import noted


def notify(settings: Settings, agreement: Agreement, notice: Notice, *, tell: Callable[[str], None]) -> list[str]:
    """Tells the agreement's contacts and its webhook; returns whom it reached, as addresses and URL.

    Raises nothing foreseen: who was not reached, and why, is told. Nobody reached: the list is empty, and the notice
    must not count as given.
    """
    return [*_mailed(settings, agreement, notice, tell), *_posted(settings, agreement, notice, tell)]


def _mailed(settings: Settings, agreement: Agreement, notice: Notice, tell: Callable[[str], None]) -> list[str]:
    recipients = notice.recipients(agreement.contacts)
    if not recipients:
        if agreement.reminders.webhook is None:
            tell(f"agreement {agreement.id} has neither contacts nor a webhook: nobody is told")
        return []
    sender = settings.smtp.sender
    message = new_message(
        sender, recipients, subject(notice, agreement), text(notice, agreement), notice.id_for(agreement.id)
    )
    reached: list[str] = []
    why = "refused by the mail server"
    try:
        with mail_server(settings) as server:
            reached, _ = hand_over(server, sender, recipients, message, whole=False)
    except (NotSent, MaybeSent, RollcallError) as error:
        why = str(error)
    if missed := [address for address in recipients if address not in reached]:
        tell(f"{agreement.id} {month_name(notice.month)}: {notice.kind} did not reach {', '.join(missed)}: {why}")
    return reached


def _posted(settings: Settings, agreement: Agreement, notice: Notice, tell: Callable[[str], None]) -> list[str]:
    url = agreement.reminders.webhook
    if url is None:
        return []
    try:
        answer = Signed(settings).post(
            checked_url(url, "the webhook"), notice.id_for(agreement.id), body_of(notice, agreement)
        )
    except (NotReached, NoAnswer, RollcallError) as error:
        why = str(error)
    else:
        if 200 <= answer.status <= 299:
            return [str(url)]
        why = f"{answer.status} {noted(answer.body.decode('utf-8', 'replace'), 200)}"
    tell(f"{agreement.id} {month_name(notice.month)}: {notice.kind} did not reach {url}: {why}")
    return []


def body_of(notice: Notice, agreement: Agreement) -> bytes:
    """The webhook's body."""
    data = {
        "kind": notice.kind, "key": notice.key, "agreement": agreement.id, "month": month_name(notice.month),
        "revision": notice.revision, "state": notice.state, "due": notice.due.isoformat(), "why": notice.why,
        "title": subject(notice, agreement), "text": text(notice, agreement), "command": notice.command(agreement),
    }  # fmt: skip
    return json.dumps({"type": "rollcall.notice.v1", "data": data}, ensure_ascii=False).encode()
