"""Whether reconnects count: by the source, else by the programme that it feeds."""

from __future__ import annotations

import pytest

from schemas.catalogue import Catalogue, parse_catalogue
from schemas.source_policy import with_policy

TEXT = """
programmes:
  launches: {time_zone: Asia/Tokyo, reconnects: ignore}
  activity: {time_zone: Asia/Tokyo, reconnects: count}
  silent: {time_zone: Asia/Tokyo}
tenants:
  - {id: a, name: A}
skus:
  - {id: L, name: L, programme: launches, family: f, deployment: cloud}
  - {id: A, name: A, programme: activity, family: f, deployment: cloud}
  - {id: S, name: S, programme: silent, family: f, deployment: cloud}
products:
  - {source: /mapped, product: Desktop, sku: L}
  - {source: /both, product: Desktop, sku: L}
  - {source: /both, product: Apps, sku: A}
sources:
"""
CITRIX = "kind: citrix, reads: 'https://monitor.example'"


def catalogue(source: str, settings: str) -> Catalogue:
    return parse_catalogue(f"{TEXT}  - {{source: {source}, {CITRIX}, settings: {{{settings}}}}}\n")


SECRET = "client: c, secret: 'env:KEY'"


@pytest.mark.parametrize(
    ("source", "settings", "policy"),
    [
        ("/one", f"{SECRET}, sku: L", {"reconnects": "ignore"}),
        ("/one", f"{SECRET}, sku: A", {"reconnects": "count"}),
        ("/one", f"{SECRET}, sku: S", {}),
        ("/one", f"{SECRET}, sku: L, policy: {{reconnects: count}}", {"reconnects": "count"}),
        ("/one", f"{SECRET}, sku: L, policy: {{user: sid}}", {"user": "sid", "reconnects": "ignore"}),
        ("/mapped", SECRET, {"reconnects": "ignore"}),
        ("/both", f"{SECRET}, policy: {{reconnects: count}}", {"reconnects": "count"}),
    ],
)
def test_the_source_decides_then_its_programme(source: str, settings: str, policy: dict[str, str]) -> None:
    found = catalogue(source, settings)
    assert with_policy(found, found.sources[0]).settings.get("policy", {}) == policy


def test_programmes_that_contradict_each_other_are_told() -> None:
    found = catalogue("/both", SECRET)
    with pytest.raises(ValueError, match="/both feeds programmes that count reconnects and ones that ignore them"):
        with_policy(found, found.sources[0])
