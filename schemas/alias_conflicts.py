"""What of a catalogue's aliases is well-formed but cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.aliases import Alias
from schemas.catalogue_pieces import Pieces
from schemas.catalogue_text import Fault
from schemas.identity import canonical
from schemas.parts import overlap


def alias_conflicts(p: Pieces) -> Iterator[Fault]:
    tenants = {tenant.id: tenant for tenant in p.tenants.values()}
    same: dict[tuple[str, frozenset[str]], list[tuple[int, Alias]]] = {}
    for i, alias in p.aliases.items():
        if what := p.unknown("tenants", alias.tenant):
            yield ("aliases", i, "tenant"), what
        start, end = alias.validity
        if start and end and end <= start:
            yield ("aliases", i, "to_month"), (
                f"{end:%Y-%m} is the first month out, so it must lie after {start:%Y-%m}; mend one of them"
            )
        owner = tenants.get(alias.tenant)
        names = [canonical(name, owner is None or owner.fold_case) for name in alias.same]
        for j, name in enumerate(names):
            if name in names[:j]:
                yield ("aliases", i, "same", j), (
                    f"{alias.same[j]!r} is the same name as {alias.same[names.index(name)]!r} already; remove it"
                )
        for j, other in same.setdefault((alias.tenant, frozenset(names)), []):
            if overlap(other.validity, alias.validity):
                yield ("aliases", i), (
                    f"the same names are linked in the same months already (aliases[{j}]); keep one, or let their "
                    "months follow each other"
                )
        same[alias.tenant, frozenset(names)].append((i, alias))
