"""How long a service is waited for, as it tells."""

from __future__ import annotations

from typing import Any

import pytest

from producers.polling.caller import LONGEST_WAIT, Caller


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 3.0), ("120", 120.0), ("-5", 0.0), ("inf", LONGEST_WAIT), ("nan", 3.0), ("soon", 3.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 60.0), ("Thu, 32 Jan 1970 00:01:00 GMT", 3.0),
    ],
)  # fmt: skip
def test_retry_after(header: str | None, seconds: float) -> None:
    nobody: Any = None
    assert Caller("https://broker.example", nobody, nobody, now=lambda: 0.0)._told(header, 3.0) == seconds
