"""Whether reconnects count: by the source, else by the programme that it feeds."""

from __future__ import annotations

from typing import Any

import pytest

from infra.errors import ConfigurationError
from producers.sources.programme import RECONNECTING, as_programme_says
from producers.sources.source import SourceOptions
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


@pytest.mark.parametrize(("given", "policy"), [
    ({"source": "/mapped"}, {"reconnects": "ignore"}),
    ({"source": "/new", "sku": "A"}, {"reconnects": "count"}),
    ({"source": "/mapped", "policy": {"reconnects": "count"}}, {"reconnects": "count"}),
    ({"source": "/mapped", "policy": {"user": "sid"}}, {"user": "sid", "reconnects": "ignore"}),
    ({"source": "/unknown"}, {}),
    ({}, {}),
])  # fmt: skip
@pytest.mark.parametrize("format", RECONNECTING)
def test_what_is_pushed_takes_its_programme_s_too(format: Any, given: dict[str, Any], policy: dict[str, str]) -> None:
    """On-premises Citrix behind NTLM is pushed as files."""
    assert as_programme_says(SourceOptions(format, **given), parse_catalogue(TEXT[:-9])).policy == policy


def test_of_what_is_pushed_contradictions_are_told_and_other_formats_left_alone() -> None:
    found = parse_catalogue(TEXT[:-9])
    with pytest.raises(ConfigurationError, match="/both feeds programmes"):
        as_programme_says(SourceOptions("citrix", source="/both"), found)
    assert as_programme_says(SourceOptions("windows", source="/mapped"), found).policy == {}


def test_horizon_s_lines_over_syslog_take_it_too() -> None:
    declared = "  - {source: /mapped, kind: syslog, reads: 'udp://127.0.0.1:5514', settings: {tenant: a}}\n"
    found = parse_catalogue(TEXT + declared)
    assert with_policy(found, found.sources[0]).settings["policy"] == {"reconnects": "ignore"}
