"""What a polled source hands over at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple


class Portion(NamedTuple):
    """Some records, and the mark that holds once they are acknowledged."""

    records: list[dict[str, Any]]
    mark: datetime
