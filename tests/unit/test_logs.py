"""Logs: one line a fact, for people or machines; libraries' own words are held back."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from infra.logs import JsonLines

SCRIPT = """
import logging
from infra.logs import set_up
from schemas.settings import LogSettings
set_up(LogSettings(format={format!r}, level="info"))
log = logging.getLogger("rollcall.worker")
log.info("events %d", 3, extra={{"events": 3}})
log.debug("not said")
for other in ("aiokafka.consumer", "rollcaller", "stream_jobs.dedup.job", "urllib3"):
    logging.getLogger(other).error("noise")
try:
    try:
        {{}}["alice@customer.example"]
    except KeyError as error:
        raise ValueError("alice\\nagain") from error
except ValueError:
    log.exception("fault")
"""


def said(format: str) -> list[str]:
    script = SCRIPT.format(format=format)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_text_is_for_people() -> None:
    lines = said("text")
    assert lines[0].endswith("INFO rollcall.worker: events 3")
    assert not any("noise" in line for line in lines)
    assert len(lines) == 2, "a line a fact"
    assert "alice" not in lines[1], "an exception may quote a name"
    assert "fault (ValueError at <string>:15 <module>; from KeyError at <string>:13 <module>)" in lines[1]


def test_json_is_an_object_a_line_with_its_facts() -> None:
    lines = [json.loads(line) for line in said("json")]
    assert [line["message"] for line in lines] == ["events 3", "fault"]
    assert lines[0]["events"] == 3
    assert lines[0]["level"] == "info"
    assert lines[1]["exception"].startswith("ValueError at ")


def test_a_fact_that_json_does_not_know_is_written_as_text() -> None:
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO", "name": "rollcall", "where": {1, 2}.__class__})
    assert json.loads(JsonLines().format(record))["where"] == "<class 'set'>"
