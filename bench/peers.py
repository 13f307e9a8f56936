"""Who is held against whom, what each leaves out that Rollcall does, and how each is run: a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench.environments import PINS, python_of
from bench.stack import ROOT, environment, server_cpu
from schemas.settings import Settings

TIMEOUT = 150.0
"""Seconds that one round of a contender may take."""


class Contender(NamedTuple):
    name: str
    module: str
    lacks: str
    """What it does less than Rollcall."""
    share: int = 1
    """One event a record, it reads a topic of one in so many of the events."""


ROLLCALL = Contender("Rollcall", "rollcall", "")
CONTENDERS = (
    ROLLCALL,
    Contender("loop", "loop", "no validation, no months or catalogue, no storage, no commit"),
    Contender("confluent-kafka", "confluent", "no validation, no months or catalogue, no storage, no commit"),
    Contender("Quix Streams", "quix", "no validation, no months or catalogue, no storage"),
    Contender("Bytewax", "bytewax_flow", "no validation, no months or catalogue, no storage, no commit"),
    Contender("stock Faust", "stock_faust", "no validation, no months or catalogue, no storage", share=40),
    Contender("ClickHouse", "clickhouse", "no Kafka (reads a file), no validation, no catalogue, no names; both cores"),
)


def run(
    contender: Contender, settings: Settings, count: int, lines: Path, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """One round: the contender's last line, with the ClickHouse process's CPU seconds as `server`.

    `lines` holds the same events, one a line. Raises RuntimeError with the contender's last words, and Unavailable.
    """
    python = str(python_of(contender.name)) if contender.name in PINS else sys.executable
    arguments = [settings.kafka.bootstrap, settings.kafka.topic, str(count)]
    if contender is ROLLCALL:
        arguments = []
    elif contender.module == "clickhouse":
        arguments = [str(lines)]
    before = server_cpu(settings)
    try:
        done = subprocess.run(
            [python, "-m", f"bench.contenders.{contender.module}", *arguments], cwd=ROOT, env=environment(settings),
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"did not end in {timeout:.0f} s") from None
    if done.returncode or not done.stdout.strip():
        words = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise RuntimeError(f"ended with {done.returncode}: {words[:200]}")
    last = done.stdout.splitlines()[-1]
    with suppress(ValueError):
        result: Any = json.loads(last)
        if isinstance(result, dict) and result.keys() >= {"events", "users", "wall", "cpu"}:
            return result | {"server": server_cpu(settings) - before}
    raise RuntimeError(f"its last line is no result: {last[:200]}")
