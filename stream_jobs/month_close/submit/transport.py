"""What every way of sending a report is: it takes a parcel and says how that ended."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Result = Literal["accepted", "failed", "unknown"]
MANIFEST = "manifest.json"
_NOTE = 300


@dataclass(frozen=True)
class File:
    """One file of a parcel. `name` has no folder in it. ValueError for one that has."""

    name: str
    media_type: str
    content: bytes

    def __post_init__(self) -> None:
        if self.name in ("", ".", "..", MANIFEST) or re.search(r"[/\\\0]", self.name):
            raise ValueError(f"{self.name!r} is not a file's name")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Parcel:
    """One revision as it is sent. The same key is the same report, at whatever attempt."""

    key: str
    agreement: str
    month: str
    """YYYY-MM"""
    revision: int
    report: str
    """SHA-256 of the report's JSON."""
    purchase_order: str | None
    subject: str
    text: str
    files: tuple[File, ...]

    def manifest(self) -> dict[str, Any]:
        """What a program at the other side has to know, without the files' content."""
        return {
            "type": "rollcall.report.v1", "key": self.key, "agreement": self.agreement, "month": self.month,
            "revision": self.revision, "report_sha256": self.report, "purchase_order": self.purchase_order,
            "subject": self.subject, "text": self.text,
            "files": [
                {"name": f.name, "media_type": f.media_type, "size": len(f.content), "sha256": f.sha256}
                for f in self.files
            ],
        }  # fmt: skip

    def as_folder(self) -> dict[str, bytes]:
        """The files by their names, and the manifest as one more."""
        text = json.dumps(self.manifest(), ensure_ascii=False, indent=1) + "\n"
        return {file.name: file.content for file in self.files} | {MANIFEST: text.encode()}


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    accepted: the other side has it. failed: it certainly has not, and nothing of it. unknown: it may have.
    """

    result: Result
    note: str = ""


@dataclass(frozen=True)
class Receipt:
    """The other side's answer to what it was sent. `number` is its own reference."""

    status: Literal["accepted", "rejected", "pending"]
    number: str = ""
    reason: str = ""


class Transport(Protocol):
    """One way to one place. `send` raises nothing foreseen: whatever happened is an outcome, with a note.

    With `carries_key` the other side knows a second parcel of the same key for the first one, so that sending it
    again does no harm.
    """

    @property
    def name(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def carries_key(self) -> bool: ...

    def send(self, parcel: Parcel) -> Outcome: ...


def noted(text: object, limit: int = _NOTE) -> str:
    """What another side said, fit for a line of the ledger: printable, one line, short."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text))).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
