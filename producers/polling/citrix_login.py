"""Who we are to the Citrix Monitor service, in the cloud and on premises."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

import urllib3

from producers.polling.token import Token

TRUST = "https://api.cloud.com/cctrustoauth2"


class CloudLogin:
    """An API client of Citrix Cloud. `trust` is where tokens are given out; they last an hour."""

    def __init__(
        self, customer: str, client: str, secret: str, http: urllib3.PoolManager, trust: str = TRUST
    ) -> None:
        self._customer = customer
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        url = f"{trust.rstrip('/')}/{customer}/tokens/clients"
        self._token = Token(url, form, http, "the customer's id, the client's id or its secret")

    def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """Raises as Token does."""
        bearer = f"CWSAuth bearer={self._token.text(renew=renew)}"
        return {"Authorization": bearer, "Citrix-CustomerId": self._customer}


@dataclass(frozen=True, slots=True)
class BasicLogin:
    """An account of a site on premises whose web server takes basic authentication, over TLS."""

    user: str
    password: str = field(repr=False)

    def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        return {"Authorization": "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()}
