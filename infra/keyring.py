"""The pseudonym keys: each holds from a month on until the next one does, and an event's own month chooses.

Where a key is read from (a file, a variable, a command) it stands as text: 64 hex digits for the first key, and for
each later one a line `YYYY-MM` and 64 hex digits. Commas end a line too; `#` begins a comment. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from infra.errors import ConfigurationError
from schemas.calendar import month_name, parse_month

FIRST: Final = date(1970, 1, 1)
"""The first key holds from the first month that ClickHouse's Date has."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
_ENDS: Final = re.compile(r"[\n,]")
NEW_KEY: Final = "(umask 077; openssl rand -hex 32 > FILE)"


@dataclass(frozen=True)
class Keys:
    """Keys of 32 bytes by the month from which each holds; there is one for FIRST."""

    by_month: dict[date, bytes]

    def from_month(self, month: date) -> date:
        """Since when the key of a month holds."""
        return max(start for start in self.by_month if start <= month)

    def __repr__(self) -> str:  # a key is in no log and no traceback
        return f"Keys({', '.join(month_name(month) for month in sorted(self.by_month))})"


def parse_keys(text: str, place: str) -> Keys:
    """The keys of a text that was read from `place`, a name for people.

    Raises ConfigurationError with the fault and its cure, and never with any of the text.
    """
    found: dict[date, bytes] = {}
    lines = [line for line in (raw.partition("#")[0].strip() for raw in _ENDS.split(text)) if line]
    for number, line in enumerate(lines, start=1):
        first, _, rest = line.partition(" ")
        month = FIRST
        if number > 1:
            try:
                month, line = parse_month(first), rest.strip()
            except ValueError:
                raise ConfigurationError(
                    f"key {number} of the pseudonym keys in {place} does not begin with the month from which it holds: "
                    f"write YYYY-MM and 64 hex digits"
                ) from None
        if not _HEX.fullmatch(line):
            # Never shown: a mangled key is still most of a key.
            which = "the pseudonym key" if number == 1 else f"the pseudonym key from {month_name(month)}"
            raise ConfigurationError(
                f"{which} in {place} is not 64 hex digits ({len(line)} characters read): restore the key that this "
                f"data was written with, from its backup; for new data, make one: {NEW_KEY}"
            )
        key = bytes.fromhex(line)
        if month in found or key in found.values():
            raise ConfigurationError(
                f"key {number} of the pseudonym keys in {place} repeats a month or a key: give each month one key of "
                f"its own"
            )
        found[month] = key
    if not found:
        raise ConfigurationError(
            f"the pseudonym key in {place} is not 64 hex digits (0 characters read): restore the key that this data "
            f"was written with, from its backup; for new data, make one: {NEW_KEY}"
        )
    return Keys(found)
