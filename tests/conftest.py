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


_LONGEST_FIRST = ("test_year", "test_short", "test_it_can_fail", "test_rebuild", "test_worker", "test_close.py",
                  "test_submit", "test_kafka_security", "test_reports")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes begin first, so that processes side by side end together; units fill up the rest."""

    def rank(item: pytest.Item) -> int:
        place = item.path.as_posix()
        if found := [n for n, name in enumerate(_LONGEST_FIRST) if name in place]:
            return found[0]
        return len(_LONGEST_FIRST) + ("/unit/" in place)

    items.sort(key=rank)
