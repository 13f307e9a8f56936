"""What `rollcall source check` finds that the catalogue's products do not map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.source_jobs import job_of, unmapped
from schemas.settings import Settings

CATALOGUE = """
programmes: {csp: {time_zone: UTC}}
tenants: [{id: a, name: A}]
skus: [{id: S, name: one, programme: csp, family: f, deployment: cloud}]
products: [{source: /g, product: Desk, sku: S}, {source: /other, product: Notes, sku: S}]
"""
FOUND = [("login", "Desk", 3), ("login", "Notes", 1), ("no login", "Ledger", 1), ("login", "", 2)]


@pytest.mark.parametrize(("more", "told"), [({}, ["", "Notes"]), ({"sku": "S"}, [])])
def test_products_that_are_not_mapped(tmp_path: Path, more: dict[str, Any], told: list[str]) -> None:
    settings = Settings(home=tmp_path, catalogue=tmp_path / "catalogue.yaml")
    settings.catalogue.write_text(CATALOGUE)
    job = job_of("/g", "guacamole", "sqlite:///none.db", {"zone": "UTC", "since": "2026-10-01", **more})
    assert unmapped(job, FOUND, settings) == told
