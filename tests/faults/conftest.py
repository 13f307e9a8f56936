"""A stack of the suite's own, since it is hurt; an arena for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.settings import Settings
from tests.faults.arena import Arena
from tests.faults.stack import own_stack


@pytest.fixture(scope="module")
def hurt_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with own_stack(tmp_path_factory.mktemp("faults")) as settings:
        yield settings


@pytest.fixture
def arena(hurt_stack: Settings, tmp_path: Path) -> Iterator[Arena]:
    with Arena(hurt_stack, tmp_path, seed=5) as arena:
        yield arena
