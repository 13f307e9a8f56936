"""Who we are to Citrix Cloud: an API client's id and secret, exchanged for a bearer token that lasts an hour."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import urllib3
from urllib3.exceptions import HTTPError

from infra.errors import ConfigurationError, OutOfReach

TRUST = "https://api.cloud.com/cctrustoauth2"
_EARLY = 120.0  # seconds before its end that a token is renewed


@dataclass(slots=True)
class CloudLogin:
    """`trust` is where tokens are given out. `now` in seconds."""

    customer: str
    client: str
    secret: str = field(repr=False)
    http: urllib3.PoolManager
    trust: str = TRUST
    now: Callable[[], float] = time.monotonic
    _token: str | None = field(default=None, repr=False)
    _until: float = 0.0

    def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """Raises ConfigurationError when the client is not known, OutOfReach when nobody answers."""
        if renew or self._token is None or self.now() >= self._until:
            self._renew()
        return {"Authorization": f"CWSAuth bearer={self._token}", "Citrix-CustomerId": self.customer}

    def _renew(self) -> None:
        url = f"{self.trust.rstrip('/')}/{self.customer}/tokens/clients"
        asked = self.now()
        form = {"grant_type": "client_credentials", "client_id": self.client, "client_secret": self.secret}
        try:
            answer = self.http.request(
                "POST", url, fields=form, encode_multipart=False, timeout=30.0, retries=False, redirect=False
            )
        except HTTPError as error:
            raise OutOfReach(f"{url} gives no token ({type(error).__name__}); start again later") from None
        if answer.status >= 500 or answer.status == 429:
            raise OutOfReach(f"{url} gives no token ({answer.status}); start again later")
        try:
            value = json.loads(answer.data) if answer.status == 200 else {}
            self._token, self._until = str(value["access_token"]), asked + float(value.get("expires_in", 3600)) - _EARLY
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(
                f"{url} gives no token ({answer.status}): mend the customer's id, the client's id or its secret"
            ) from None


@dataclass(frozen=True, slots=True)
class BasicLogin:
    """An account of a site on premises whose web server takes basic authentication, over TLS."""

    user: str
    password: str = field(repr=False)

    def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        return {"Authorization": "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()}
