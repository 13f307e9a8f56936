"""What every test run needs: no setting of whoever runs it reaches a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.settings import CONFIG_VARIABLE, PREFIX

EXAMPLE_CATALOGUE = Path(__file__).parents[1] / "examples" / "catalogue.example.yaml"


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither ROLLCALL_ variables nor a rollcall.toml of the working folder."""
    empty = tmp_path_factory.mktemp("settings") / "rollcall.toml"
    empty.touch()
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(variable)
        patch.setenv(CONFIG_VARIABLE, str(empty))
        yield


@pytest.fixture(scope="session")
def example_catalogue() -> str:
    """Version 1 of the catalogue as it is shipped: one programme in Asia/Tokyo, two tenants, one SKU."""
    return EXAMPLE_CATALOGUE.read_text("utf-8")
