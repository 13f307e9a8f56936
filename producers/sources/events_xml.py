"""Windows events as XML (`wevtutil … /f:xml`, Event Viewer's *Save as*), flattened into records.

Events are cut out by their tags and parsed one by one, so that a damaged one costs no neighbour; none is longer than
the limit. A document type is refused: events have none, and entities could be used to exhaust memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

from producers.sources.lines import Line, LongLine
from producers.sources.records import Found
from producers.sources.source import Refused, Skipped
from schemas.quarantine import Refusal

_NAMESPACE = "{http://schemas.microsoft.com/win/2004/08/events/event}"
_BEGIN = re.compile(rb"<Event[ >]")
_END = b"</Event>"


class EventsXml:
    """`number` of what it finds is the event's, from 1."""

    preamble = b""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Found | Refused | Skipped]:
        number, held, searched = 0, b"", 0
        for piece in _pieces(lines):
            held += piece
            while True:
                end = held.find(_END, max(0, searched - len(_END)))
                if end < 0:
                    searched = len(held)
                    break
                number += 1
                yield self._event(number, held[:end + len(_END)])
                held, searched = held[end + len(_END):], 0
            if len(held) > self._limit and searched:
                number += 1
                yield Refused(number, (held, b"\n"), Refusal("too_large", f"longer than {self._limit:,} bytes"))
                held, searched = b"", 0
        if _BEGIN.search(held):
            yield Refused(number + 1, (held,), Refusal("not_an_event", "the event is cut off; export it again"))

    def _event(self, number: int, text: bytes) -> Found | Refused:
        begun = [match.start() for match in _BEGIN.finditer(text)]
        kept = (text[begun[0] if begun else 0:] + b"\n",)
        try:
            if len(begun) != 1:
                raise Refusal("not_an_event", "the event does not begin, or another begins within it; export it again")
            if b"<!" in kept[0]:
                raise Refusal("not_an_event", "an event has no document type and no comments")
            return Found(number, _flat(ElementTree.fromstring(kept[0])), kept)
        except ElementTree.ParseError as error:
            return Refused(number, kept, Refusal("not_an_event", f"not XML: {error}"))
        except Refusal as refusal:
            return Refused(number, kept, refusal)


def _pieces(lines: Iterable[Line | LongLine]) -> Iterator[bytes]:
    for line in lines:
        if isinstance(line, LongLine):
            yield from line.pieces
        else:
            yield line.raw


def _flat(event: ElementTree.Element) -> dict[str, Any]:
    """System's members by their tags (the time by its attribute), EventData's by their names."""
    found: dict[str, Any] = {}
    for part in event:
        for member in part:
            tag = member.tag.removeprefix(_NAMESPACE)
            if tag == "TimeCreated":
                found[tag] = member.get("SystemTime")
            elif tag == "Data":
                found[member.get("Name") or ""] = member.text
            else:
                found.setdefault(tag, member.text)
    return found
