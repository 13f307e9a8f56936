"""How many messages a listener lost, in a file that outlives it, until a person takes it away."""

from __future__ import annotations

import os
from pathlib import Path

from infra.errors import ConfigurationError


class Losses:
    """Of one process at a time."""

    def __init__(self, file: Path) -> None:
        self._file, self._written = file, 0

    def count(self, lost: int) -> int:
        """Those of the file, with the `lost` of this process, which are then in it. Raises ConfigurationError."""
        try:
            found = int(self._file.read_text("ascii")) if self._file.exists() else 0
            if lost > self._written:
                found += lost - self._written
                self._write(found)
                self._written = lost
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{self._file} cannot be read or written ({error}): make room, or take it away"
            ) from None
        return found

    def _write(self, count: int) -> None:
        part = self._file.with_name(self._file.name + ".part")
        with open(part, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(f"{count}\n")
            out.flush()
            os.fsync(out.fileno())
        part.replace(self._file)
