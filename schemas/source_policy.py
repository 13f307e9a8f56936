"""What a programme lays down for the sources that feed it: whether a session that is taken up again is a login then,
and which instances of an inventory count."""

from __future__ import annotations

from typing import Final

from schemas.catalogue import Catalogue, InstanceTerms, Programme
from schemas.source_declared import DeclaredSource

RECONNECTING: Final = ("citrix", "avd", "horizon", "horizon-syslog")
"""What is read with a policy `reconnects`: kinds of sources, and forms of files; syslog without a map is Horizon's."""


def with_policy(catalogue: Catalogue, source: DeclaredSource) -> DeclaredSource:
    """The source with its programme's policy where it has none of its own.

    Its programmes are those of its SKU and of its products. Raises ValueError when they contradict each other.
    """
    given = source.settings.get("policy") or {}
    read_as = "horizon-syslog" if source.kind == "syslog" and not source.settings.get("map") else source.kind
    if read_as not in RECONNECTING or source.reads is None or "reconnects" in given:
        return source
    policy = reconnects(catalogue, source.source, source.settings.get("sku"))
    if policy is None:
        return source
    return source.model_copy(update={"settings": source.settings | {"policy": given | {"reconnects": policy}}})


def reconnects(catalogue: Catalogue, source: str, sku: object) -> str | None:
    """What the programmes that a source feeds say of sessions taken up again; None: nothing.

    Raises ValueError when they contradict each other.
    """
    said = {programme.reconnects for programme in _fed(catalogue, source, sku).values()} - {None}
    if len(said) > 1:
        raise ValueError(
            f"{source} feeds programmes that count reconnects and ones that ignore them: say which as its policy, "
            f"reconnects: count"
        )
    return said.pop() if said else None


def instance_terms(catalogue: Catalogue, source: str, sku: str | None) -> tuple[str, InstanceTerms | None] | None:
    """Time zone and terms of the programme that a source's inventories feed; None: the catalogue tells of none.

    Raises ValueError when they contradict each other.
    """
    fed = _fed(catalogue, source, sku)
    found = {(programme.time_zone, programme.instances) for programme in fed.values()}
    if len(found) > 1:
        raise ValueError(
            f"{source} feeds {' and '.join(sorted(fed))}, which have different time zones or count instances "
            f"differently: push an inventory for each, from a source of its own"
        )
    return found.pop() if found else None


def _fed(catalogue: Catalogue, source: str, sku: object) -> dict[str, Programme]:
    """The programmes, by name, of a source's SKU and products."""
    skus = {product.sku for product in catalogue.products if product.source == source} | {sku}
    return {each.programme: catalogue.programmes[each.programme] for each in catalogue.skus if each.id in skus}
