"""Reports by e-mail: what is certain, what is not, and what the recipient sees."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from infra.errors import ConfigurationError
from infra.local.ports import free_port
from schemas.agreement import EmailSubmission
from schemas.settings import Settings
from stream_jobs.month_close.submit.email import EmailTransport
from stream_jobs.month_close.submit.transport import Outcome, Parcel
from tests.receivers import LOOPBACK, SmtpScript
from tests.unit.parcels import FILES, LARGE, PARCEL, TEXT

TO, CC = "orders@distributor.example", "copy@distributor.example"
SUBMISSION = EmailSubmission(by="email", to=[TO], cc=[CC])
USER, PASSWORD = "rollcall@provider.example", "correct horse"

Make = Callable[..., SmtpScript]


@pytest.fixture
def smtp() -> Iterator[Make]:
    made: list[SmtpScript] = []

    def make(**script: Any) -> SmtpScript:
        made.append(SmtpScript(**script))
        return made[-1]

    yield make
    for one in made:
        one.close()


def plain(port: int, **submit: Any) -> Settings:
    return Settings(
        smtp={"host": LOOPBACK, "port": port, "security": "none", "sender": "rollcall@provider.example"},
        submit={"timeout_seconds": 5, **submit},
    )


def sent(server: SmtpScript, parcel: Parcel = PARCEL, **submit: Any) -> Outcome:
    return EmailTransport(plain(server.port, **submit), SUBMISSION).send(parcel)


def read(content: bytes) -> EmailMessage:
    return cast(EmailMessage, message_from_bytes(content, policy=policy.default))


def test_the_recipient_gets_subject_text_and_files_as_they_are(smtp: Make) -> None:
    server = smtp()
    assert sent(server) == Outcome("accepted", "250 queued as 4711")
    ((recipients, content),) = server.got
    assert recipients == [TO, CC]
    message = read(content)
    assert (message["Subject"], message["To"], message["Cc"]) == (PARCEL.subject, TO, CC)
    assert message["Message-ID"] == f"<{PARCEL.key[-32:]}@provider.example>"
    body = message.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == TEXT
    files = [(a.get_filename(), a.get_content_type(), a.get_payload(decode=True)) for a in message.iter_attachments()]
    assert files == [(f.name, f.media_type, f.content) for f in FILES]


@pytest.mark.parametrize(
    ("script", "result", "whole"),
    [
        ({"end": "hang"}, "unknown", 1),
        ({"end": "drop"}, "unknown", 1),
        ({"end": "drip"}, "unknown", 1),
        ({"end": "refuse"}, "failed", 0),
        ({"data": "451 later"}, "failed", 0),
        ({"greeting": "554 go away"}, "failed", 0),
        ({"refused": (TO, CC)}, "failed", 0),
        ({"refused": (CC,)}, "failed", 0),
    ],
)
def test_only_what_was_handed_over_and_not_answered_is_unknown(
    smtp: Make, script: dict[str, Any], result: str, whole: int
) -> None:
    """Of the recipients all get it or none: one that is refused keeps it from the other."""
    server = smtp(**script)
    begun = time.monotonic()
    outcome = sent(server, timeout_seconds=0.5)
    assert outcome.result == result, outcome
    assert outcome.note
    assert len(server.got) == whole
    assert time.monotonic() - begun < 3


def test_a_connection_that_ends_within_the_message_delivers_nothing(smtp: Make) -> None:
    server = smtp(broken=True)
    outcome = sent(server, LARGE)
    assert (outcome.result, server.got) == ("failed", [])
    assert "before the message was whole" in outcome.note


def test_nobody_listens_or_nobody_speaks() -> None:
    outcome = EmailTransport(plain(free_port()), SUBMISSION).send(PARCEL)
    assert outcome.result == "failed"
    assert "refused" in outcome.note


class _Inbox:
    def __init__(self) -> None:
        self.got: list[tuple[list[str], bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        assert session.ssl
        assert session.authenticated
        self.got.append((envelope.rcpt_tos, envelope.content))
        return "250 OK"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def inbox(authority: trustme.CA) -> Iterator[tuple[int, _Inbox]]:
    """A mail server that wants STARTTLS and an account, and answers as `localhost`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    inbox, port = _Inbox(), free_port()
    controller = Controller(
        inbox, hostname=LOOPBACK, port=port, tls_context=context, require_starttls=True, auth_required=True,
        authenticator=_authenticate,
    )  # fmt: skip
    controller.start()
    yield port, inbox
    controller.stop()


def encrypted(port: int, authority: trustme.CA, folder: Path, **changes: Any) -> Settings:
    file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    smtp = {"host": "localhost", "port": port, "ca_file": file, "user": USER, "password": PASSWORD}
    return Settings(smtp={**smtp, "sender": USER, **changes}, submit={"timeout_seconds": 5})


@pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd.*")
def test_a_real_server_with_starttls_and_an_account(
    inbox: tuple[int, _Inbox], authority: trustme.CA, tmp_path: Path
) -> None:
    port, box = inbox
    outcome = EmailTransport(encrypted(port, authority, tmp_path), SUBMISSION).send(PARCEL)
    assert outcome == Outcome("accepted", "250 OK")
    ((recipients, content),) = box.got
    assert recipients == [TO, CC]
    names = [a.get_filename() for a in read(content).iter_attachments()]
    assert names == [f.name for f in FILES]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd.*")
@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"ca_file": None}, "ROLLCALL_SMTP_CA_FILE"),
        ({"host": LOOPBACK}, "ROLLCALL_SMTP_HOST"),  # not the certificate's name
        ({"password": "wrong"}, "ROLLCALL_SMTP_PASSWORD"),
        ({"user": None, "password": None}, "530"),
    ],
)
def test_a_server_that_is_not_who_it_should_be_or_does_not_know_us_gets_nothing(
    inbox: tuple[int, _Inbox], authority: trustme.CA, tmp_path: Path, changes: dict[str, Any], cure: str
) -> None:
    port, box = inbox
    outcome = EmailTransport(encrypted(port, authority, tmp_path, **changes), SUBMISSION).send(PARCEL)
    assert outcome.result == "failed"
    assert cure in outcome.note
    assert PASSWORD not in outcome.note
    assert not box.got


def test_without_encryption_nothing_is_said(smtp: Make) -> None:
    server = smtp()
    settings = Settings(smtp={"host": LOOPBACK, "port": server.port, "sender": USER}, submit={"timeout_seconds": 5})
    outcome = EmailTransport(settings, SUBMISSION).send(PARCEL)
    assert outcome.result == "failed"
    assert "STARTTLS" in outcome.note
    assert not server.got


@pytest.mark.parametrize(
    ("smtp_settings", "cure"),
    [
        ({}, "ROLLCALL_SMTP_HOST"),
        ({"host": "mail.example", "security": "none", "sender": USER}, "starttls or tls"),
        ({"host": "mail.example"}, "ROLLCALL_SMTP_SENDER"),
        ({"host": "mail.example", "sender": USER, "user": "u"}, "ROLLCALL_SMTP_PASSWORD"),
        ({"host": "mail.example", "sender": USER, "ca_file": "/nowhere.pem"}, "ROLLCALL_SMTP_CA_FILE"),
    ],
)
def test_settings_that_cannot_send_are_told_before_anything_is_tried(
    smtp_settings: dict[str, Any], cure: str
) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        EmailTransport(Settings(smtp=smtp_settings), SUBMISSION)


def test_a_line_break_in_a_name_makes_no_header(smtp: Make) -> None:
    server = smtp()
    parcel = replace(PARCEL, subject="report\r\nBcc: other@elsewhere.example")
    with closing(server):
        assert EmailTransport(plain(server.port), SUBMISSION).send(parcel).result == "accepted"
    message = read(server.got[0][1])
    assert message["Bcc"] is None
    assert message["Subject"] == "report Bcc: other@elsewhere.example"
