"""A catalogue in pieces, so that what is well-formed can be compared whatever is wrong elsewhere in it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.agreement import Agreement
from schemas.aliases import Alias
from schemas.allowances import Exclusion, Reasons, Trial
from schemas.rules import Rule
from schemas.source_declared import DeclaredSource

if TYPE_CHECKING:
    from schemas.catalogue import Product, Programme, Sku, Tenant


@dataclass(frozen=True)
class Pieces:
    """The well-formed pieces of a catalogue by their places in the text, and every id that stands in it."""

    programmes: Mapping[str, Programme]
    tenants: Mapping[int, Tenant]
    skus: Mapping[int, Sku]
    products: Mapping[int, Product]
    agreements: Mapping[int, Agreement]
    rules: Mapping[int, Rule]
    trials: Mapping[int, Trial]
    exclusions: Mapping[int, Exclusion]
    free_users: Mapping[int, Exclusion]
    aliases: Mapping[int, Alias]
    sources: Mapping[int, DeclaredSource]
    reasons: Reasons | None
    ids: Mapping[str, Set[str]]
    """Of programmes, tenants, skus and agreements, whether they are well-formed or not."""

    def unknown(self, part: str, id: str | None) -> str | None:
        """The sentence if `id` leads nowhere."""
        if id is None or id in self.ids[part]:
            return None
        return f"{id!r} is not under {part}; add it there or mend the name"
