"""Signed requests: Standard Webhooks (standardwebhooks.com), as submissions and notices are sent.

The signature is HMAC-SHA256 over `webhook-id.webhook-timestamp.body`, under the secret that both sides have.
"""

from __future__ import annotations

import binascii
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

import urllib3
from pydantic import AnyHttpUrl
from standardwebhooks import Webhook
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from infra.errors import ConfigurationError
from schemas.settings import Settings
from stream_jobs.month_close.submit.secure import is_loopback, tls_context
from stream_jobs.month_close.submit.transport import noted

LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are read; the rest is left."""
_CONNECT_SECONDS = 20.0
_SHORTEST_SECRET = 16


class Answer(NamedTuple):
    status: int
    body: bytes


class NotReached(Exception):
    """The request certainly did not get there. The text is the operator's sentence."""


class NoAnswer(Exception):
    """The request may have got there."""


class Signed:
    """Requests under one secret. `clock` is the signatures': the other side refuses one that is minutes off."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] | None = None) -> None:
        """Raises ConfigurationError without a secret, or with settings that cannot be used."""
        submit = settings.submit
        self._webhook = _webhook(submit.secret.get_secret_value() if submit.secret else None)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._seconds = submit.timeout_seconds
        context = tls_context(submit.ca_file, "ROLLCALL_SUBMIT_CA_FILE")
        timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, self._seconds), read=self._seconds)
        if submit.proxy is None:
            self._pool = urllib3.PoolManager(ssl_context=context, timeout=timeout, retries=False)
        else:
            self._pool = urllib3.ProxyManager(
                str(submit.proxy), ssl_context=context, timeout=timeout, retries=False, proxy_ssl_context=context
            )

    def post(self, url: AnyHttpUrl, id: str, body: bytes) -> Answer:
        """Raises NotReached or NoAnswer when there is no answer. Redirects are not followed."""
        return self._request("POST", str(url), id, body)

    def get(self, url: AnyHttpUrl, id: str, **query: str) -> Answer:
        """As `post`, with an empty body signed."""
        address = urllib3.util.parse_url(str(url))
        asked = "&".join(filter(None, [address.query, urlencode(query)]))
        return self._request("GET", address._replace(query=asked).url, id, b"")

    def headers(self, id: str, body: bytes) -> dict[str, str]:
        """The signature, and what it is over besides the body (UTF-8)."""
        at = self._clock()
        return {
            "webhook-id": id, "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._webhook.sign(id, at.astimezone(UTC), body.decode()),
        }  # fmt: skip

    def _request(self, method: str, url: str, id: str, body: bytes) -> Answer:
        host = urllib3.util.parse_url(url).host
        headers = {
            "User-Agent": "rollcall", "Accept": "application/json", "Accept-Encoding": "identity",
            **self.headers(id, body),
        }  # fmt: skip
        if method == "POST":
            headers |= {"Content-Type": "application/json", "Idempotency-Key": id}
        until = time.monotonic() + self._seconds
        try:
            response = self._pool.request(
                method, url, body=body or None, headers=headers, redirect=False, preload_content=False
            )
        except (NewConnectionError, ConnectTimeoutError, ProxyError, LocationParseError) as error:
            raise NotReached(f"{host} cannot be reached: {noted(_innermost(error))}") from None
        except SSLError as error:
            inner = _innermost(error)
            if not isinstance(inner, ssl.SSLCertVerificationError):
                raise NoAnswer(f"{host} broke off: {noted(inner)}") from None
            raise NotReached(
                f"{host} shows a certificate that is not trusted ({noted(inner.verify_message)}): name its authority "
                "in ROLLCALL_SUBMIT_CA_FILE"
            ) from None
        except HTTPError as error:
            raise NoAnswer(f"{host} did not answer: {noted(_innermost(error))}") from None
        try:
            return Answer(response.status, _bounded(response, until))
        finally:
            response.close()


def checked_url(url: AnyHttpUrl, what: str) -> AnyHttpUrl:
    """Raises ConfigurationError for an address that is not encrypted, but on this machine."""
    if url.scheme != "https" and not is_loopback(url.host or ""):
        raise ConfigurationError(f"{what} {url} is not encrypted: write https:// in the catalogue")
    return url


def _webhook(secret: str | None) -> Webhook:
    cure = 'make one: printf "whsec_%s\\n" "$(openssl rand -base64 32)"'
    if secret is None:
        raise ConfigurationError(f"requests are signed, and there is no secret: set ROLLCALL_SUBMIT_SECRET; {cure}")
    try:
        raw = binascii.a2b_base64(secret.removeprefix("whsec_"), strict_mode=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) < _SHORTEST_SECRET or not secret.startswith("whsec_"):
        raise ConfigurationError(f"ROLLCALL_SUBMIT_SECRET is not whsec_ and base64 of 16 bytes or more; {cure}")
    return Webhook(raw)


def _bounded(response: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """What came of the body in time. The status has been read: a body that breaks off changes nothing of it."""
    found = b""
    try:
        while len(found) < LARGEST_ANSWER and time.monotonic() < until:
            piece = response.read1(LARGEST_ANSWER - len(found), decode_content=False)
            if not piece:
                break
            found += piece
    except (HTTPError, OSError):
        pass
    return found


def _innermost(error: BaseException) -> BaseException:
    while (inner := getattr(error, "original_error", None) or error.__cause__ or _argument(error)) is not None:
        error = inner
    return error


def _argument(error: BaseException) -> BaseException | None:
    return next((a for a in error.args if isinstance(a, BaseException)), None)
