"""A bearer token for an API client's id and secret (OAuth 2.0, client credentials), renewed before it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import urllib3
from urllib3.exceptions import HTTPError

from infra.errors import ConfigurationError, OutOfReach

_EARLY = 120.0  # seconds before its end that a token is renewed


@dataclass(slots=True)
class Token:
    """`url` is where it is given out, for `form`. `mend`: what is wrong when it is not. `now` in seconds."""

    url: str
    form: Mapping[str, str] = field(repr=False)
    http: urllib3.PoolManager
    mend: str
    now: Callable[[], float] = time.monotonic
    _text: str = field(default="", repr=False)
    _until: float = 0.0

    def text(self, *, renew: bool = False) -> str:
        """Raises ConfigurationError when the client is not known, OutOfReach when nobody answers."""
        if renew or not self._text or self.now() >= self._until:
            self._renew()
        return self._text

    def _renew(self) -> None:
        asked = self.now()
        try:
            answer = self.http.request(
                "POST", self.url, fields=dict(self.form), encode_multipart=False, timeout=30.0, retries=False,
                redirect=False,
            )  # fmt: skip
        except HTTPError as error:
            raise OutOfReach(
                f"{self.url} gives no token ({type(error).__name__}); see that this machine reaches it, or start again "
                f"later"
            ) from None
        if answer.status >= 500 or answer.status == 429:
            raise OutOfReach(f"{self.url} gives no token ({answer.status}); start again later")
        try:
            value = json.loads(answer.data) if answer.status == 200 else {}
            self._text, self._until = str(value["access_token"]), asked + float(value.get("expires_in", 3600)) - _EARLY
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{self.url} gives no token ({answer.status}): mend {self.mend}") from None
