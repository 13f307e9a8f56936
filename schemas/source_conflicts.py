"""What of a catalogue's sources is well-formed but cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.catalogue_pieces import Pieces
from schemas.catalogue_text import Fault
from schemas.parts import overlap


def source_conflicts(p: Pieces) -> Iterator[Fault]:
    first: dict[str, list[int]] = {}
    for i, declared in p.sources.items():
        start, end = declared.validity
        if start and end and end <= start:
            yield ("sources", i, "valid_to"), (
                f"{end} is the first day out, so it must lie after {start}; mend one of them"
            )
        for name, part in (("tenant", "tenants"), ("sku", "skus")):
            if what := p.unknown(part, declared.settings.get(name)):
                yield ("sources", i, "settings", name), what
        for j in first.setdefault(declared.source, []):
            if overlap(p.sources[j].validity, declared.validity):
                yield ("sources", i, "source"), (
                    f"{declared.source!r} stands twice for the same days (first as sources[{j}]); keep one, or end the "
                    "first with valid_to where this begins"
                )
                break
        first[declared.source].append(i)
