"""Every page of docs/sources holds: its sample's files, pushed by its command, give the events that it shows."""

from __future__ import annotations

import json
import re
import shlex
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest

from producers.adapters.inventory import parse_inventory
from producers.adapters.login_map import parse_login_map
from producers.sources.source import Format
from tests.unit.adapted import read

PAGES = Path(__file__).parents[2] / "docs" / "sources"
SAMPLES = sorted(path for path in PAGES.glob("*.md") if "\n## Sample\n" in path.read_text("utf-8"))


def blocks(text: str) -> dict[str, str]:
    """The fenced blocks of a section, each by the last `name` before it."""
    found: dict[str, str] = {}
    before, inside, block = "", False, ""
    for line in text.splitlines(keepends=True):
        if not line.startswith("```"):
            before, block = (before, block + line) if inside else (before + line, "")
        elif inside:
            found[(re.findall(r"`([^`]+)`", before) or ["command"])[-1]] = block
            before, inside = "", False
        else:
            inside, block = True, ""
    return found


def options_of(words: list[str], files: dict[str, str]) -> dict[str, Any]:
    given = dict(zip(words[::2], words[1::2], strict=True))
    options: dict[str, Any] = {name.removeprefix("--"): value for name, value in given.items()}
    if "map" in options:
        options["map"] = parse_login_map(files[given["--map"]], given["--map"])
    if "inventory" in options:
        options["inventory"] = parse_inventory(files[given["--inventory"]], given["--inventory"])
    if "policy" in options:
        options["policy"] = dict(pair.split("=") for pair in given["--policy"].split(","))
    if "columns" in options:
        options["columns"] = dict(pair.split("=") for pair in given["--columns"].split(","))
    if "date" in options:
        options["date"] = date.fromisoformat(given["--date"])
    options.setdefault("format", "map" if "map" in options else "cloudevents")
    return options


@pytest.mark.parametrize("page", SAMPLES, ids=lambda path: path.stem)
def test_the_sample(page: Path) -> None:
    sample = page.read_text("utf-8").split("\n## Sample\n")[1].split("\n## ")[0]
    files = blocks(sample)
    program, command, file, *words = shlex.split(files["command"])
    assert (program, command) == ("rollcall", "push")
    found = read(files[file], name=file, **options_of(words, files))
    assert found.events == [json.loads(line) for line in files["sent"].splitlines()]
    told = {why: int(count) for count, why in (line.split(" ", 1) for line in files["not logins"].splitlines())}
    assert found.not_logins == told
    assert not found.refused


def test_every_format_has_a_page() -> None:
    shown = {word for page in SAMPLES for word in re.findall(r"--format ([a-z-]+)", page.read_text("utf-8"))}
    assert set(get_args(Format)) - {"cloudevents", "csv", "sshd", "map"} == shown
