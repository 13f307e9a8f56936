"""Questions to an HTTP service, one at a time, with patience.

429 and 503 are waited out as `Retry-After` says; time-outs, broken connections and answers that are cut off are tried
again, later each time; an expired token is renewed once. What no repeat can cure is told at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError, SSLError

from infra.errors import ConfigurationError, OutOfReach
from schemas.quarantine import Refusal

LONGEST_WAIT = 600.0  # seconds
LARGEST_ANSWER = 128 * 1024 * 1024
_TOO_SLOW = (408, 504)
T = TypeVar("T")


class TooSlow(OutOfReach):
    """It answers, but not this question within its time: one that asks for less may be answered."""


class Login(Protocol):
    """Who we are to the service."""

    def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """The headers of a query; with `renew`, the last ones were refused."""
        ...


@dataclass(slots=True)
class Caller:
    """`base` is the service's URL, and its name in sentences. `seconds`: how long one answer may take. `turn` is held
    while a question is open."""

    base: str
    login: Login
    http: urllib3.PoolManager
    seconds: float = 40.0
    tries: int = 8
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    turn: Callable[[], AbstractContextManager[None]] = nullcontext

    def ask(
        self, method: str, url: str, read: Callable[[bytes], T], body: bytes | None = None,
        headers: Mapping[str, str] | None = None, *, time_outs: int | None = None,
    ) -> T:  # fmt: skip
        """What `read` makes of the answer; where it raises Refusal, the service is asked again.

        Raises OutOfReach when patience ends, TooSlow after so many time-outs, ConfigurationError for what a repeat does
        not cure.
        """
        renewed, why, slow = False, "", 0
        for attempt in range(self.tries):
            wait, late = min(2.0**attempt, 60.0), False
            try:
                sent = {"Accept": "application/json", **(headers or {}), **self.login.headers(renew=renewed)}
                with self.turn():
                    answer = self.http.request(
                        method, url, body=body, headers=sent, retries=False, redirect=False, preload_content=False,
                        timeout=urllib3.Timeout(connect=10.0, read=self.seconds),
                    )  # fmt: skip
                    data = answer.read(LARGEST_ANSWER + 1, decode_content=True)
                    answer.release_conn()
                if answer.status == 200:
                    if len(data) > LARGEST_ANSWER:
                        raise Refusal("too_large", f"more than {LARGEST_ANSWER >> 20} MiB")
                    return read(data)
                why, late = f"it answered {answer.status}", answer.status in _TOO_SLOW
                if answer.status == 401 and not renewed:
                    renewed = True
                    continue
                _hopeless(answer.status, self.base, data)
                wait = self._told(answer.headers.get("Retry-After"), wait)
            except Refusal as refusal:
                why = f"its answer cannot be read ({refusal.detail})"
            except SSLError as error:
                raise ConfigurationError(f"{self.base}: its certificate is not trusted ({error}); mend it") from None
            except MaxRetryError as error:
                why = str(error.reason)
            except HTTPError as error:
                why, late = f"{type(error).__name__}: {error}", isinstance(error, ReadTimeoutError)
            slow += late
            if slow == time_outs:
                raise TooSlow(f"{self.base} does not answer in time ({why[:300]}); start again later")
            if attempt + 1 < self.tries:
                self.sleep(wait)
        raise OutOfReach(
            f"{self.base} gives no answer, asked {self.tries} times ({why[:300]}). What was read is kept; start again "
            f"later"
        )

    def _told(self, header: str | None, otherwise: float) -> float:
        """`Retry-After`, in seconds or as a date."""
        if header is None:
            return otherwise
        try:
            seconds = float(header)
        except ValueError:
            try:
                seconds = parsedate_to_datetime(header).timestamp() - self.now()
            except ValueError:
                return otherwise
        return otherwise if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)


def _hopeless(status: int, base: str, body: bytes) -> None:
    said = body[:200].decode("utf-8", "replace")
    if status in (401, 403):
        raise ConfigurationError(
            f"{base} refuses the key ({status}): mend the client's id or secret, or give it the right to read; {said}"
        )
    if status < 500 and status not in (408, 429):
        raise ConfigurationError(f"{base} does not understand the query ({status}): is the URL right? It says: {said}")
