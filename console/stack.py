"""`rollcall up` and `down`: the local stack."""

from __future__ import annotations

from console.output import tell
from infra.local import stack
from schemas.settings import load_settings


def up() -> None:
    """Start Kafka and the ClickHouse engine on this machine, and wait until both answer. Safe to repeat."""
    settings = load_settings()
    stack.up(settings, tell)


def down() -> None:
    """Stop the local stack; the data stays."""
    stack.down(load_settings(), tell)
