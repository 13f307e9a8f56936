"""A signed POST with an idempotency key: a JSON manifest with the files in it. Receipts are polled where there are.

One body, so that one signature covers all of it; and JSON, so that it is checked with what every language has.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from infra.errors import OutOfReach
from schemas.agreement import HttpsSubmission
from schemas.settings import Settings
from stream_jobs.month_close.submit.signed import Answer, NoAnswer, NotReached, Signed, checked_url
from stream_jobs.month_close.submit.transport import Outcome, Parcel, Receipt, noted

LATER = frozenset({408, 409, 425, 429})
"""Refusals that pass: too slow, the first request of this key is still at work, too early, too many."""


class HttpsTransport:
    name = "https"
    carries_key = True

    def __init__(
        self, settings: Settings, submission: HttpsSubmission, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._url = checked_url(submission.url, "the submission's url")
        self._receipts = submission.receipts and checked_url(submission.receipts, "the receipts' url")
        self._signed = Signed(settings, clock)

    @property
    def target(self) -> str:
        return str(self._url)

    def send(self, parcel: Parcel) -> Outcome:
        try:
            answer = self._signed.post(self._url, parcel.key, body_of(parcel))
        except NotReached as error:
            return Outcome("failed", str(error))
        except NoAnswer as error:
            return Outcome("unknown", str(error))
        said = _said(answer)
        if 200 <= answer.status <= 299:
            return Outcome("accepted", said)
        if answer.status in LATER or answer.status >= 500 or answer.status < 200:
            return Outcome("unknown", said)
        if answer.status < 400:
            return Outcome("failed", f"{said}: redirects are not followed; put the right url into the agreement")
        return Outcome("failed", f"{said}: refused, and the same will be refused again until one side is mended")

    def receipt(self, key: str) -> Receipt | None:
        """None where no receipts are to be had, or the other side does not know the key."""
        if self._receipts is None:
            return None
        try:
            answer = self._signed.get(self._receipts, key, key=key)
        except (NotReached, NoAnswer) as error:
            raise OutOfReach(f"there is no receipt to be had: {error}") from None
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OutOfReach(f"{self._receipts} gives no receipt: {_said(answer)}")
        try:
            found = _Receipt.model_validate_json(answer.body)
        except ValidationError:
            raise OutOfReach(f"{self._receipts} gives no receipt that can be read: {_said(answer)}") from None
        return Receipt(found.status, found.receipt, found.reason)


def body_of(parcel: Parcel) -> bytes:
    """The manifest, each file's content in it as base64."""
    manifest = parcel.manifest()
    for entry, file in zip(manifest["files"], parcel.files, strict=True):
        entry["content"] = base64.b64encode(file.content).decode()
    return json.dumps(manifest, ensure_ascii=False).encode()


def _line(value: object) -> str:
    return "" if value is None else noted(value, 200)


class _Receipt(BaseModel):
    """More members than these may be there."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["accepted", "rejected", "pending"]
    receipt: Annotated[str, BeforeValidator(_line)] = ""
    reason: Annotated[str, BeforeValidator(_line)] = ""


def _said(answer: Answer) -> str:
    text = noted(answer.body.decode("utf-8", "replace"), 200)
    return f"{answer.status} {text}".strip()
