"""kill -9 of every reader, a few rounds each; `python -m tests.faults --readers 20` does more."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from schemas.settings import Settings
from tests.faults.readers import READERS, run
from tests.faults.source_runs import SOURCES, Brokers, killed

ROUNDS = 5


@pytest.mark.parametrize("reader", READERS)
def test_no_login_is_missing_and_none_is_invented(reader: str, tmp_path: Path) -> None:
    outcome = run(reader, tmp_path, ROUNDS)
    assert (outcome.missing, outcome.extra) == (0, 0)
    assert outcome.rounds == ROUNDS, "every round was killed before its end"
    assert outcome.sent >= outcome.logins > 0


def test_every_source_is_counted_exactly_though_their_reader_is_killed(
    make_settings: Any, stack: Settings, tmp_path: Path
) -> None:
    brokers, home = Brokers(tmp_path), tmp_path / "home"
    home.mkdir()
    (home / "secrets").symlink_to(stack.home / "secrets")
    with brokers.monitor, brokers.azure:
        settings = make_settings(brokers.catalogue(), home=home, kafka={"partitions": 2})
        outcome = killed(settings, brokers, 3, random.Random(6))
    assert outcome.good, outcome
    assert (outcome.kills, set(outcome.logins)) == (3, set(SOURCES))
    assert min(outcome.logins.values()) >= 120
