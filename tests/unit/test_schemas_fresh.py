"""The JSON Schema files are what the models say, and say what the models take."""

from __future__ import annotations

import json

import pytest

from schemas.event import MAX_SUBJECT
from schemas.generate import CONTRACTS, FOLDER, generated


def test_no_file_is_missing_and_none_is_left_over() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(generated())


@pytest.mark.parametrize("name", [f"{name}.schema.json" for name in CONTRACTS])
def test_files_are_fresh(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == generated()[name], "stale: run `make schemas`"


def test_the_event_s_schema_tells_what_another_language_needs() -> None:
    schema = json.loads(generated()["login-event.schema.json"])
    assert schema["required"] == ["specversion", "id", "source", "type", "time", "subject", "data"]
    assert schema["properties"]["type"]["const"] == "rollcall.login.v1"
    assert schema["properties"]["time"]["format"] == "date-time"
    assert schema["properties"]["subject"]["maxLength"] == MAX_SUBJECT
    assert schema.get("additionalProperties", True) is True, "unknown members are kept out of the way, not refused"


def test_no_schema_holds_a_secret_or_a_path_of_this_machine() -> None:
    for text in generated().values():
        assert "/work" not in text
        assert "/home" not in text
