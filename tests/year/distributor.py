"""The distributors of the year, on loopback: a folder, an HTTPS receiver that answers with receipts, a mailbox."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

from tests.receivers import HttpReceiver, SmtpScript
from tests.year.provider import REJECTED

MAILBOX = "reports@distributor.example"


class Delivered(NamedTuple):
    """A report as it arrived: SHA-256 of its JSON, and the file that it was in."""

    where: str
    name: str
    sha256: str


class Answering(HttpReceiver):
    """Has a receipt for each report as soon as it has the report: a good one, except for the one that it refuses."""

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        super()._post(request)
        for key, manifest in self.accepted.items():
            self.receipts.setdefault(key, json.dumps(self._judged(manifest)).encode())

    def _judged(self, manifest: dict[str, Any]) -> dict[str, str]:
        name = manifest["agreement"], date.fromisoformat(f"{manifest['month']}-01")
        if name == REJECTED and manifest["revision"] == 1:
            return {"status": "rejected", "reason": "one user left in May"}
        return {"status": "accepted", "receipt": f"R-{manifest['month']}-{manifest['revision']}"}


class Distributors:
    def __init__(self, folder: Path) -> None:
        self.folder, self.https, self.mail = folder, Answering(), SmtpScript()

    def has_mail(self, key: str) -> bool:
        """Whether the message of this idempotency key arrived, whole."""
        return any(key.rpartition("-")[2] in message["Message-ID"] for message in self._reports_mailed())

    @property
    def notices(self) -> list[tuple[str, str]]:
        """What people were mailed: recipients and subject."""
        return [
            (", ".join(to), str(_parsed(text)["Subject"]).strip()) for to, text in self.mail.got if MAILBOX not in to
        ]

    def delivered(self) -> Iterator[Delivered]:
        """Every report that arrived, as often as it did."""
        for file in self.folder.glob("*/*.json"):
            if file.name != "manifest.json":
                yield _delivered("folder", file.name, file.read_bytes())
        for manifest in self.https.accepted.values():
            for entry in manifest["files"]:
                if entry["name"].endswith(".json"):
                    yield _delivered("https", entry["name"], base64.b64decode(entry["content"]))
        for message in self._reports_mailed():
            for part in message.iter_attachments():
                if (name := str(part.get_filename())).endswith(".json"):
                    yield _delivered("mail", name, part.get_payload(decode=True))

    def _reports_mailed(self) -> Iterator[Any]:
        return (_parsed(text) for to, text in list(self.mail.got) if MAILBOX in to)


@contextmanager
def distributors(folder: Path) -> Iterator[Distributors]:
    folder.mkdir()
    made = Distributors(folder)
    try:
        yield made
    finally:
        made.https.close()
        made.mail.close()


def _parsed(text: bytes) -> Any:
    return email.message_from_bytes(text, policy=email.policy.default)


def _delivered(where: str, name: str, content: bytes) -> Delivered:
    report = content.removeprefix(b'{"report":').rpartition(b',"standing":')[0]
    return Delivered(where, name, hashlib.sha256(report).hexdigest())
