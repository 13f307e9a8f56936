"""One drain of a topic by Rollcall's worker, checked against the truth."""

from __future__ import annotations

from typing import Any

from bench.figures import Truth, fault
from bench.peers import ROLLCALL, run
from schemas.settings import Settings

TIMEOUT = 240.0
"""Seconds."""


def drained(settings: Settings, truth: Truth) -> dict[str, Any]:
    """What the worker tells of itself. Raises RuntimeError when it fails or counts anything but the truth."""
    result = run(ROLLCALL, settings, truth.events, settings.home, TIMEOUT)
    if wrong := fault(result, truth):
        raise RuntimeError(f"the worker {wrong}")
    return result
