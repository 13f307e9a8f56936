"""One at a time: a service that allows one query is asked by turns, by every reader of this home."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from producers.source_folder import file_name, lock_file


@contextmanager
def turn(folder: Path, name: str) -> Iterator[None]:
    """Waits until no other thread or process has it; whoever dies gives it back. Raises ConfigurationError."""
    held = lock_file(folder, f"{file_name(name)}.turn")
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
