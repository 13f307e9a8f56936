"""The examples are what they say: catalogues that hold, data that their sources read without a refusal."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from producers.push import source_for
from producers.sources.lines import Lines
from producers.sources.source import Login, Refused, SourceOptions
from schemas.catalogue import parse_catalogue

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["catalogue.example.yaml", "catalogues/irc.yaml", "catalogues/sshd.yaml"])
def test_catalogues(name: str) -> None:
    assert parse_catalogue((EXAMPLES / name).read_text("utf-8"), name).skus


def logins(file: Path, options: SourceOptions) -> list[dict[str, Any]]:
    with file.open("rb") as stream:
        items = list(source_for(options, file.name, 1_000_000).read(Lines(stream, file.name, 1_000_000)))
    assert not [item for item in items if isinstance(item, Refused)]
    return [json.loads(item.event) for item in items if isinstance(item, Login)]


def test_the_ssh_log_gives_its_ground_truth() -> None:
    folder = EXAMPLES / "data" / "ssh_authlog"
    truth = json.loads((folder / "ground_truth.json").read_text())
    events = logins(folder / "auth.log.gz", SourceOptions("sshd", year=2017, zone="UTC"))
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in events:
        users[event["time"][:7], event["data"]["product"]].add(event["subject"])
    assert len(events) == truth["events_counted"]
    assert {key: len(names) for key, names in users.items()} == {
        (row["month"], row["sku"]): row["users_exact"] for row in truth["per_month_sku"]
    }
    mapped = {(p.source, p.product) for p in parse_catalogue((EXAMPLES / "catalogues/sshd.yaml").read_text()).products}
    assert {(event["source"], event["data"]["product"]) for event in events} <= mapped
