"""Lines as they are, unchecked (`--raw`): one line, one record, for the dedup job to judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from producers.sources.lines import Line, LongLine
from producers.sources.source import Item, Login, Skipped, too_long


class RawSource:
    """Every line is handed on but empty ones, and those too long for the topic, which are refused."""

    preamble = b""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Item]:
        for line in lines:
            if isinstance(line, LongLine):
                yield too_long(line, self._limit)
            elif not line.text:
                yield Skipped(line.number)
            else:
                yield Login(line.number, line.text, subject_or_line(line.text))


def subject_or_line(text: bytes) -> str:
    """What the line is partitioned by: the subject where one can be read, else the line itself."""
    try:
        subject = json.loads(text)["subject"]
    except (ValueError, TypeError, KeyError, RecursionError):
        subject = None
    return subject if isinstance(subject, str) else text.decode("latin-1")
