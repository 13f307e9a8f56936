"""A stack that may be hurt, in a home of its own; each server on a small file system, where one can be mounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
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
    disks = [kafka_disk(settings), clickhouse_disk(settings)]
    for disk in disks:
        disk.mkdir(parents=True)
    mounted = [disk for disk in disks if _mount(disk)]
    try:
        up(settings, lambda _: None)
        yield settings
    finally:
        down(settings, lambda _: None)
        for disk in mounted:
            subprocess.run(["umount", str(disk)], check=False)


def kafka_disk(settings: Settings) -> Path:
    return settings.home / "kafka" / "data"


def clickhouse_disk(settings: Settings) -> Path:
    return settings.home / "clickhouse"


@contextmanager
def almost_full(disk: Path, left: int) -> Iterator[Callable[[], None]]:
    """The file system has room for so many bytes more, until the block ends. Called, it takes away what was freed."""
    whole = _size_and_used(disk)[0]

    def fill() -> None:
        _resize(disk, _size_and_used(disk)[1] + left)

    try:
        fill()
        yield fill
    finally:
        if not _resize(disk, whole):
            raise AssertionError(f"{disk} cannot be given its room again")


def _size_and_used(disk: Path) -> tuple[int, int]:
    room = os.statvfs(disk)
    return room.f_blocks * room.f_frsize, (room.f_blocks - room.f_bavail) * room.f_frsize


def _resize(disk: Path, size: int) -> bool:
    """False when more is in use by now."""
    command = ["mount", "-o", f"remount,size={size}", str(disk)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _mount(disk: Path) -> bool:
    """False where this account may not mount, or there is no such command."""
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "rollcall-faults", str(disk)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
