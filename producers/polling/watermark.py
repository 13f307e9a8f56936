"""How far a source was read, in a file that survives kill -9; and that only one reader has it.

The mark is stored after Kafka has acknowledged what lies before it, never earlier. Reading begins again somewhat before
it (the overlap), so that what became visible late is read too; what is read twice is counted once.
"""

from __future__ import annotations

import fcntl
import json
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from infra.errors import ConfigurationError
from producers.source_folder import lock_file, unwritable


class State(NamedTuple):
    mark: datetime | None
    polled: datetime | None
    """When the last poll came to its end."""


def state_of(folder: Path, name: str) -> State:
    """What the file says; nothing when there is none. Raises ConfigurationError when it cannot be read."""
    file = folder / f"{name}.json"
    try:
        value = json.loads(file.read_text("utf-8"))
        times = [datetime.fromisoformat(value[key]) if key in value else None for key in ("watermark", "polled")]
        if value and all(time is None or time.tzinfo is not None for time in times):
            return State(*times)
    except FileNotFoundError:
        return State(None, None)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ConfigurationError(
        f"{file} cannot be read: remove it, and name with --since from when on the source is read again; "
        f"what is read twice is counted once"
    )


class Watermark:
    """Holds the file `<folder>/<name>.json`, and a lock beside it, until closed.

    Raises ConfigurationError when another reader has it, or the file cannot be read or written.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.json"
        self._lock = lock_file(folder, f"{name}.lock")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConfigurationError(
                f"{name} is being read by another process: the broker allows one query at a time; end the other first"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._lock)

    @property
    def mark(self) -> datetime | None:
        """Everything modified before this was acknowledged; None when nothing was read yet."""
        return self._state().mark

    def advance(self, to: datetime) -> None:
        """Durable when this returns."""
        self._write(self._state()._replace(mark=to))

    def polled(self, at: datetime) -> None:
        """A poll came to its end. Durable when this returns."""
        self._write(self._state()._replace(polled=at))

    def _state(self) -> State:
        return state_of(self._file.parent, self._file.stem)

    def _write(self, state: State) -> None:
        part = self._file.with_suffix(".part")
        value = {"watermark": state.mark, "polled": state.polled}
        try:
            with open(part, "w", encoding="utf-8", opener=_private) as out:
                json.dump({name: time.isoformat() for name, time in value.items() if time is not None}, out)
                out.flush()
                os.fsync(out.fileno())
            part.replace(self._file)
            folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise unwritable(self._file.parent, error) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
