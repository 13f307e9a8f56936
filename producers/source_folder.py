"""The folder `sources` of a home, in which its readers keep what they know: names of its files, and locks."""

from __future__ import annotations

import os
import re
from pathlib import Path

from infra.errors import ConfigurationError


def file_name(source: str) -> str:
    """What the files of a source are called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", source.strip("/")) or "source"


def lock_file(folder: Path, name: str) -> int:
    """Open, in a folder that is there then; not locked yet. Raises ConfigurationError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{folder} cannot be written ({error.strerror or error}): make room, or set ROLLCALL_HOME to a folder that you "
        f"may write to"
    )
