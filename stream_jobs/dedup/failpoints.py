"""Named places at which a worker can be made to die as by `kill -9`, or to freeze, for `tests/faults`.

Off unless the environment names one: `FAILPOINT=NAME:N` kills the worker the N-th time it gets there, `NAME:N:stop`
freezes it (SIGSTOP). Each place is reached once a batch at most, never once an event.
"""

from __future__ import annotations

import os
import signal
from typing import Literal

VARIABLE = "FAILPOINT"

Name = Literal[
    "start", "assigned", "revoked", "folded", "set-aside", "before-insert", "between-inserts", "after-insert", "done",
    "committed", "shutdown", "leaving",
]


def _armed(text: str) -> tuple[str, int, signal.Signals]:
    name, _, rest = text.partition(":")
    times, _, action = rest.partition(":")
    return name, int(times or 1), signal.SIGSTOP if action == "stop" else signal.SIGKILL


_name, _left, _signal = _armed(os.environ.get(VARIABLE, ""))


def reach(name: Name) -> None:
    """The worker is at this place."""
    global _left
    if name == _name:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), _signal)
