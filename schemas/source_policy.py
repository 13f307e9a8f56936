"""What a programme lays down for the sources that feed it: whether a session that is taken up again is a login then."""

from __future__ import annotations

from schemas.catalogue import Catalogue
from schemas.source_declared import DeclaredSource

_TAKEN_UP_AGAIN = ("citrix", "avd", "horizon")
"""Kinds whose policy has `reconnects`."""


def with_policy(catalogue: Catalogue, source: DeclaredSource) -> DeclaredSource:
    """The source with its programme's policy where it has none of its own.

    Its programmes are those of its SKU and of its products. Raises ValueError when they contradict each other.
    """
    given = source.settings.get("policy") or {}
    if source.kind not in _TAKEN_UP_AGAIN or source.reads is None or "reconnects" in given:
        return source
    skus = {product.sku for product in catalogue.products if product.source == source.source}
    skus.add(str(source.settings.get("sku")))
    feeds = {catalogue.programmes[sku.programme].reconnects for sku in catalogue.skus if sku.id in skus} - {None}
    if len(feeds) > 1:
        raise ValueError(
            f"{source.source} feeds programmes that count reconnects and ones that ignore them: say which in its "
            f"settings, as policy: {{reconnects: count}}"
        )
    for policy in feeds:
        return source.model_copy(update={"settings": source.settings | {"policy": given | {"reconnects": policy}}})
    return source
