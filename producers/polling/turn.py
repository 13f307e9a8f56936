"""One at a time: a service that allows one query is asked by turns, by every reader of this home."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import ConfigurationError


@contextmanager
def turn(folder: Path, name: str) -> Iterator[None]:
    """Waits until no other thread or process has it; whoever dies gives it back. Raises ConfigurationError."""
    file = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.turn"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written ({error.strerror or error}): set ROLLCALL_HOME to a folder that you may write to"
        ) from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
