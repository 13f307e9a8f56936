"""Writes the JSON Schema files of the contracts: `python -m schemas.generate` (a test tells when they are stale)."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas.catalogue import Catalogue
from schemas.close import CloseResult, Seal, VerifyResult
from schemas.control import ControlRecord
from schemas.event import LoginEvent
from schemas.ledger import Entry
from schemas.quarantine import QuarantineRecord
from schemas.report import Report
from schemas.settings import Settings
from schemas.source_report import SourceReport

FOLDER = Path(__file__).parent / "json"
CONTRACTS: dict[str, type[BaseModel]] = {
    "login-event": LoginEvent,
    "catalogue": Catalogue,
    "settings": Settings,
    "control-record": ControlRecord,
    "quarantine-record": QuarantineRecord,
    "close-result": CloseResult,
    "seal": Seal,
    "verify-result": VerifyResult,
    "report": Report,
    "source-report": SourceReport,
    "ledger-entry": Entry,
}


def generated() -> dict[str, str]:
    """The text of every file, by its name: what the contract takes as input."""
    return {
        f"{name}.schema.json": json.dumps(
            {"$schema": GenerateJsonSchema.schema_dialect, **model.model_json_schema()}, indent=2, ensure_ascii=False
        )
        + "\n"
        for name, model in CONTRACTS.items()
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    files = generated()
    for stale in FOLDER.glob("*.schema.json"):
        if stale.name not in files:
            stale.unlink()
    for name, text in files.items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
