"""An inventory: which user a machine belongs to, for brokers whose logins name only the machine.

Either what `aws workspaces describe-workspaces` prints (`{"Workspaces": [{"WorkspaceId": …, "UserName": …}]}`; several
such pages may follow each other), or CSV with a header that has `WorkspaceId` and `UserName`. Other columns are kept:
`DirectoryId`, `BundleId`, and, if the provider adds it, `Upn`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from infra.errors import ConfigurationError

KEY, USER = "WorkspaceId", "UserName"


def parse_inventory(text: str, name: str) -> dict[str, dict[str, str]]:
    """Machine to its columns. Raises ConfigurationError; a machine that stands there twice with two users is one."""
    found: dict[str, dict[str, str]] = {}
    rows = _json(text, name) if text.lstrip()[:1] in ("{", "[") else _table(text, name)
    for number, row in enumerate(rows, 1):
        kept = {key: value for key, value in row.items() if isinstance(value, str) and value}
        if missing := [column for column in (KEY, USER) if column not in kept]:
            raise ConfigurationError(f"{name}, entry {number}: has no {' and no '.join(missing)}; add it")
        known = found.setdefault(kept[KEY], kept)
        if known[USER] != kept[USER]:
            raise ConfigurationError(
                f"{name}: {kept[KEY]} belongs to {known[USER]!r} and to {kept[USER]!r}; leave the one that holds"
            )
    if not found:
        raise ConfigurationError(f"{name}: holds no machine; give it {KEY} and {USER} of every machine")
    return found


def _json(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    text = text.strip()
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError as error:
            raise ConfigurationError(f"{name}: not JSON: {error}") from None
        at += len(text[at:]) - len(text[at:].lstrip())
        rows = value.get("Workspaces") if isinstance(value, dict) else value
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigurationError(f"{name}: expected a list under Workspaces, as describe-workspaces prints it")
        yield from rows


def _table(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from csv.DictReader(io.StringIO(text), strict=True)
    except csv.Error as error:
        raise ConfigurationError(f"{name}: not CSV: {error}") from None
