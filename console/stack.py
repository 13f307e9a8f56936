"""`rollcall up`, `down`, `status`: the local stack."""

from __future__ import annotations

from console.output import Format, show, tell
from infra.local import stack
from schemas.settings import load_settings


def up() -> None:
    """Start Kafka and the ClickHouse engine on this machine, and wait until both answer. Safe to repeat."""
    settings = load_settings()
    stack.up(settings, tell)


def down() -> None:
    """Stop the local stack; the data stays."""
    stack.down(load_settings(), tell)


def status(*, format: Format = "table") -> int:
    """Show what runs, where it answers, and where its data and logs are. Exit code 3 when a part does not answer."""
    found = stack.status(load_settings())
    show(
        format,
        ("service", "answers", "address", "pid", "version", "data", "log"),
        [
            (s.name, "yes" if s.answering else "no", s.address, str(s.pid or ""), s.version, str(s.data), str(s.log))
            for s in found
        ],
    )
    return 0 if all(s.answering for s in found) else 3
