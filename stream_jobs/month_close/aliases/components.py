"""Union–find over pseudonyms: whoever is linked, directly or over others, is one. Pure.

The result depends on the set of pairs alone, not on their order or repetition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

Link = tuple[bytes, bytes]
"""Two pseudonyms, the smaller one first."""


def link(one: bytes, other: bytes) -> Link:
    return (one, other) if one < other else (other, one)


def representatives(links: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Every linked pseudonym, and the smallest of its component, which stands for all of it (for itself too)."""
    parent: dict[bytes, bytes] = {}

    def root(node: bytes) -> bytes:
        above = parent.setdefault(node, node)
        while above != node:  # every other step is shortened
            parent[node] = parent[above]
            node, above = parent[node], parent[parent[node]]
        return node

    for one, other in links:
        a, b = root(one), root(other)
        if a != b:
            parent[max(a, b)] = min(a, b)  # so a root is the smallest of its tree
    return {node: root(node) for node in parent}


def version(links: Iterable[Link]) -> str:
    """The name of a set of links: SHA-256 of the lines `one,other` in lower-case hex, sorted; empty for none."""
    lines = sorted({f"{one.hex()},{other.hex()}\n" for one, other in links})
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""
