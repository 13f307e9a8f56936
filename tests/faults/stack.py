"""A stack that may be hurt, in a home of its own; Kafka's data on a small file system, where one can be mounted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import down, up
from schemas.settings import Settings

ROOM = "1g"


@contextmanager
def own_stack(folder: Path) -> Iterator[Settings]:
    """Up, not migrated; down again at the end."""
    kafka, clickhouse = free_port(), free_port()
    settings = Settings(
        home=folder / "home",
        kafka={"bootstrap": f"{LOOPBACK}:{kafka}"},
        clickhouse={"url": f"http://{LOOPBACK}:{clickhouse}"},
        local={"kafka_port": kafka, "clickhouse_port": clickhouse},
    )
    data = settings.home / "kafka" / "data"
    data.mkdir(parents=True)
    mounted = _mount(data)
    try:
        up(settings, lambda _: None)
        yield settings
    finally:
        down(settings, lambda _: None)
        if mounted:
            subprocess.run(["umount", str(data)], check=False)


def _mount(data: Path) -> bool:
    """False where this account may not mount, or there is no such command."""
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "rollcall-faults", str(data)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
