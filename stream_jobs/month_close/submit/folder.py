"""Into a folder: a share, a mounted drive, or what another program picks up.

The files of a parcel appear at once, in a folder named by the key: they are written beside it and synced, then that
is renamed. What is there already under this name is compared.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from stream_jobs.month_close.submit.transport import Outcome, Parcel, noted


class FolderTransport:
    name = "folder"
    carries_key = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def target(self) -> str:
        return str(self._folder)

    def send(self, parcel: Parcel) -> Outcome:
        place, files = self._folder / parcel.key, parcel.as_folder()
        if not self._folder.is_dir():  # never made: what should be mounted there is not
            return Outcome("failed", f"{self._folder} is no folder: make it, or mount it")
        try:
            if place.exists():
                return _compared(place, files)
            _put(self._folder, place, files)
        except OSError as error:
            why = noted(error.strerror or error)
            try:
                if place.exists():  # somebody else was faster
                    return _compared(place, files)
            except OSError:
                pass
            return Outcome("failed", f"{why} at {self._folder}; nothing of it is there")
        return Outcome("accepted", f"{len(files)} files in {place}")


def _put(folder: Path, place: Path, files: Mapping[str, bytes]) -> None:
    """All files or none."""
    beside = folder / f".{place.name}.{secrets.token_hex(4)}"
    beside.mkdir()
    try:
        for name, content in files.items():
            with (beside / name).open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        _sync(beside)
        beside.rename(place)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _sync(folder)
    for left in folder.glob(f".{place.name}.*"):  # by attempts that were killed
        shutil.rmtree(left, ignore_errors=True)


def _compared(place: Path, files: Mapping[str, bytes]) -> Outcome:
    found = {path.name: path.read_bytes() for path in place.iterdir()} if place.is_dir() else {}
    if found == files:
        return Outcome("accepted", f"it was in {place} already")
    other = sorted(name for name in {*files, *found} if files.get(name) != found.get(name))
    return Outcome("failed", f"{place} holds something else ({', '.join(other)}): look at it, then move it away")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
