"""Quarantined events that contain a name: looked for in the bytes, since nothing else of them is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from typing import Any

from schemas.calendar import EPOCH
from schemas.identity import canonical
from schemas.quarantine import Origin
from schemas.settings import Settings
from stream_jobs.dedup.batch import Headers
from stream_jobs.quarantine.topic import scan


def mentions(settings: Settings, names: Iterable[str]) -> list[Origin]:
    """The places of all that the topic still holds. Reads the whole topic; raises OutOfReach."""
    pattern = pattern_of(names)
    with closing(scan(settings, EPOCH)) as topic:
        found = {kept.origin for kept in topic if mentioned(pattern, kept.value, kept.headers)}
    return sorted(found)


def pattern_of(names: Iterable[str]) -> re.Pattern[str]:
    """Finds the names as whole words in folded text. Pure."""
    words = "|".join(re.escape(canonical(name)) for name in sorted(names))
    return re.compile(rf"(?<![\w.-])(?:{words})(?![\w-])")


def mentioned(pattern: re.Pattern[str], value: bytes, headers: Headers) -> bool:
    """Whether an event has one of the names, escaped or not, in whatever case. Pure."""
    texts = [(held or b"").decode("utf-8", "replace") for _, held in headers]
    texts.append(value.decode("utf-8", "replace"))
    with suppress(ValueError, RecursionError):  # no JSON: then the name stands there as it is, or not at all
        texts += _strings(json.loads(value))
    return any(pattern.search(canonical(text)) for text in texts)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, held in value.items():
            yield name
            yield from _strings(held)
    elif isinstance(value, list):
        for held in value:
            yield from _strings(held)
