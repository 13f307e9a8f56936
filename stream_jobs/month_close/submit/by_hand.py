"""By hand: the files are written for a person to send, who says then whether they arrived."""

from __future__ import annotations

from pathlib import Path

from stream_jobs.month_close.submit.folder import FolderTransport
from stream_jobs.month_close.submit.transport import Outcome, Parcel


class ByHand:
    name = "by-hand"
    carries_key = False

    def __init__(self, folder: Path) -> None:
        """`folder` is made if it is not there."""
        self._folder = folder.absolute()

    @property
    def target(self) -> str:
        return str(self._folder)

    def send(self, parcel: Parcel) -> Outcome:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return Outcome("failed", f"{self._folder} cannot be made: {error.strerror}")
        outcome = FolderTransport(self._folder).send(parcel)
        return Outcome("unknown", outcome.note) if outcome.result == "accepted" else outcome
