"""The engine acknowledges rows that it had no room to write: an insert is refused while the disk is nearly full."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.engine import pool
from infra.local.engine.errors import QueryError


def test_an_insert_is_refused_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "ROOM_BYTES", 1 << 62)
    with pytest.raises(QueryError, match=r"243.*not enough space"):
        pool.Connection(None, str(tmp_path)).insert("INSERT INTO t", "TSV", [b"1\n"])
