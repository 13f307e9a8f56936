"""kill -9 of every reader, a few rounds each; `python -m tests.faults --readers 20` does more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.readers import READERS, run

ROUNDS = 2


@pytest.mark.parametrize("reader", READERS)
def test_no_login_is_missing_and_none_is_invented(reader: str, tmp_path: Path) -> None:
    outcome = run(reader, tmp_path, ROUNDS)
    assert (outcome.missing, outcome.extra) == (0, 0)
    assert outcome.rounds == ROUNDS, "every round was killed before its end"
    assert outcome.sent >= outcome.logins > 0
