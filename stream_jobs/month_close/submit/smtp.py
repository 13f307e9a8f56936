"""A mail server: one message to its recipients, and certainty about what became of it where there can be any.

Up to the line with the full stop that ends a message the server must not deliver anything of it (RFC 5321, 4.1.1.4);
from then on only its answer tells.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from email import policy
from email.message import EmailMessage

from infra.errors import ConfigurationError
from schemas.settings import Settings, SmtpSettings
from stream_jobs.month_close.submit.secure import is_loopback, tls_context
from stream_jobs.month_close.submit.transport import noted


class NotSent(Exception):
    """Nobody got anything. The text is the operator's sentence."""


class MaybeSent(Exception):
    """The message was handed over, and no answer came."""


def check_smtp(smtp: SmtpSettings) -> str:
    """The server's host. Raises ConfigurationError when the settings cannot send a mail."""
    if smtp.host is None:
        raise ConfigurationError("there is no mail server: set ROLLCALL_SMTP_HOST and ROLLCALL_SMTP_SENDER")
    if smtp.security == "none" and not is_loopback(smtp.host):
        raise ConfigurationError(
            f"ROLLCALL_SMTP_SECURITY=none is for a mail server on this machine, not for {smtp.host}: set starttls or "
            "tls"
        )
    if smtp.sender.endswith("@localhost") and not is_loopback(smtp.host):
        raise ConfigurationError("mail would come from rollcall@localhost: set ROLLCALL_SMTP_SENDER to your address")
    if (smtp.user is None) != (smtp.password is None):
        raise ConfigurationError("set ROLLCALL_SMTP_USER and ROLLCALL_SMTP_PASSWORD both, or neither")
    tls_context(smtp.ca_file, "ROLLCALL_SMTP_CA_FILE")
    return smtp.host


@contextmanager
def mail_server(settings: Settings) -> Iterator[smtplib.SMTP]:
    """A session, encrypted and signed in as the settings say. All of it takes no longer than the submission's time-out.

    Raises NotSent when it does not come about, ConfigurationError as `check_smtp`.
    """
    smtp, seconds = settings.smtp, settings.submit.timeout_seconds
    host = check_smtp(smtp)
    with _explained(f"the mail server {host}:{smtp.port}"):
        server = _connected(smtp, host, seconds)
    cut = threading.Timer(seconds, _cut, [server])
    cut.daemon = True
    cut.start()
    try:
        with _explained(f"the mail server {host}:{smtp.port}"):
            _open(server, smtp)
        yield server
        with suppress(OSError, smtplib.SMTPException):  # its answer is not waited for: all is said
            server.putcmd("QUIT")
    finally:
        cut.cancel()
        server.close()


def hand_over(
    server: smtplib.SMTP, sender: str, recipients: Sequence[str], message: EmailMessage, *, whole: bool
) -> tuple[list[str], str]:
    """Sends one message; returns who gets it, and the server's answer. With `whole`, all recipients or none.

    Raises NotSent when nobody gets it, MaybeSent when nobody can tell.
    """
    beyond_ascii = not all(address.isascii() for address in (sender, *recipients))
    data = message.as_bytes(policy=policy.SMTPUTF8 if beyond_ascii else policy.SMTP)
    data = re.sub(rb"(?m)^\.", b"..", data)
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    try:
        reached = _envelope(server, sender, recipients, len(data), beyond_ascii, whole)
        code, answer = server.docmd("DATA")
        if code != 354:
            raise NotSent(f"the mail server does not take the message: {_answer(code, answer)}")
        server.send(data)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"the mail server broke off before the message was whole: {_text(error)}") from None
    try:
        server.send(b".\r\n")
        code, answer = server.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise MaybeSent(f"the mail server got the message and did not answer: {_text(error)}") from None
    if not 200 <= code <= 299:
        raise NotSent(f"the mail server refuses the message: {_answer(code, answer)}")
    return reached, _answer(code, answer)


def _envelope(
    server: smtplib.SMTP, sender: str, recipients: Sequence[str], size: int, beyond_ascii: bool, whole: bool
) -> list[str]:
    options = [f"SIZE={size}"] if server.has_extn("size") else []
    if beyond_ascii:
        if not server.has_extn("smtputf8"):
            raise NotSent("the mail server cannot send to or from an address beyond ASCII")
        options += ["SMTPUTF8", "BODY=8BITMIME"]
    code, answer = server.mail(sender, options)
    if code != 250:
        raise NotSent(f"the mail server takes no mail from {sender}: {_answer(code, answer)}")
    reached, refused = [], []
    for address in recipients:
        code, answer = server.rcpt(address)
        if code in (250, 251):
            reached.append(address)
        else:
            refused.append(f"{address}: {_answer(code, answer)}")
    if refused and (whole or not reached):
        server.rset()
        others = "; the others got nothing either" if reached else ""
        raise NotSent(f"the mail server refuses {noted('; '.join(refused))}{others}")
    return reached


def _connected(smtp: SmtpSettings, host: str, seconds: float) -> smtplib.SMTP:
    if smtp.security == "tls":
        context = tls_context(smtp.ca_file, "ROLLCALL_SMTP_CA_FILE")
        return smtplib.SMTP_SSL(host, smtp.port, timeout=seconds, context=context)
    return smtplib.SMTP(host, smtp.port, timeout=seconds)


def _open(server: smtplib.SMTP, smtp: SmtpSettings) -> None:
    if smtp.security == "starttls":
        server.starttls(context=tls_context(smtp.ca_file, "ROLLCALL_SMTP_CA_FILE"))
    server.ehlo_or_helo_if_needed()
    if smtp.user is not None and smtp.password is not None:
        _sign_in(server, smtp.user, smtp.password.get_secret_value())


def _sign_in(server: smtplib.SMTP, user: str, password: str) -> None:
    """By one mechanism: `SMTP.login` tries all, so that its error is the last one's, and accounts get locked."""
    offered = server.esmtp_features.get("auth", "").upper().split()
    server.user, server.password = user, password
    for mechanism, answers in (
        ("PLAIN", server.auth_plain), ("LOGIN", server.auth_login), ("CRAM-MD5", server.auth_cram_md5)
    ):  # fmt: skip
        if mechanism in offered:
            server.auth(mechanism, answers)
            return
    raise smtplib.SMTPNotSupportedError("sign in with a password: unset ROLLCALL_SMTP_USER if it needs no account")


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """What goes wrong before there is a message: NotSent."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise NotSent(
            f"{where} shows a certificate that is not trusted ({noted(error.verify_message)}): name its authority in "
            "ROLLCALL_SMTP_CA_FILE, or its right name in ROLLCALL_SMTP_HOST"
        ) from None
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent(
            f"{where} does not let us in: {_answer(error.smtp_code, error.smtp_error)}; set ROLLCALL_SMTP_USER and "
            "ROLLCALL_SMTP_PASSWORD"
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise NotSent(f"{where} cannot do what the settings ask for: {_text(error)}") from None
    except smtplib.SMTPResponseException as error:
        raise NotSent(f"{where} turns us away: {_answer(error.smtp_code, error.smtp_error)}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{where} does not answer as one should: {_text(error)}") from None


def _cut(server: smtplib.SMTP) -> None:
    """Ends whatever the session waits for, here or on the wire."""
    if server.sock is not None:
        try:
            socket.socket.shutdown(server.sock, socket.SHUT_RDWR)
        except OSError:
            server.sock.close()


def _answer(code: int, text: bytes | str) -> str:
    return noted(f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}", 200)


def _text(error: Exception) -> str:
    return noted(error) or type(error).__name__
