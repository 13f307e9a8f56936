"""By e-mail, the forms attached. It carries no key that the other side would know: never sent twice blindly."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime, localtime

from schemas.agreement import EmailSubmission
from schemas.settings import Settings
from stream_jobs.month_close.submit.smtp import MaybeSent, NotSent, check_smtp, hand_over, mail_server
from stream_jobs.month_close.submit.transport import Outcome, Parcel


class EmailTransport:
    """All recipients get it or none does."""

    name = "email"
    carries_key = False

    def __init__(self, settings: Settings, submission: EmailSubmission) -> None:
        check_smtp(settings.smtp)
        self._settings, self._submission = settings, submission

    @property
    def target(self) -> str:
        return ", ".join([*self._submission.to, *self._submission.cc])

    def send(self, parcel: Parcel) -> Outcome:
        sender = self._settings.smtp.sender
        recipients = list(dict.fromkeys([*self._submission.to, *self._submission.cc]))
        message = new_message(sender, self._submission.to, parcel.subject, parcel.text, parcel.key)
        if self._submission.cc:
            message["Cc"] = ", ".join(self._submission.cc)
        for file in parcel.files:
            kind, _, subtype = file.media_type.partition("/")
            message.add_attachment(file.content, maintype=kind, subtype=subtype, filename=file.name)
        try:
            with mail_server(self._settings) as server:
                _, answer = hand_over(server, sender, recipients, message, whole=True)
        except NotSent as error:
            return Outcome("failed", str(error))
        except MaybeSent as error:
            return Outcome("unknown", str(error))
        return Outcome("accepted", answer)


def new_message(sender: str, to: list[str], subject: str, text: str, id: str) -> EmailMessage:
    """A message of plain text. Its Message-ID is made from `id`: two of the same id are one to a mail program."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(to), " ".join(subject.split())
    message["Date"] = format_datetime(localtime())
    # Of the id the part that tells it apart: a longer line would be folded, which not every program reads.
    message["Message-ID"] = f"<{id.rpartition('-')[2]}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message
