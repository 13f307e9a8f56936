"""`close --drain`: a dedup job of the close's own, which ends when it has caught up.

A process, not a call: the dedup job and the month close share a table, no code.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence

from infra.errors import CheckFailed, ConfigurationError, OutOfReach, RollcallError

COMMAND = (sys.executable, "-m", "console.main", "worker", "--drain")
_LAST_WORDS = 5
_KINDS = {1: CheckFailed, 2: ConfigurationError, 3: OutOfReach}


def drain(tell: Callable[[str], None], command: Sequence[str] = COMMAND) -> None:
    """Runs the worker until it has caught up, telling what it says; settings come to it by the environment.

    Raises the error that its exit code stands for, with its last words.
    """
    said: deque[str] = deque(maxlen=_LAST_WORDS)
    with subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    ) as worker:  # fmt: skip
        try:
            for line in worker.stdout or ():
                if text := line.strip():
                    said.append(text)
                    tell(f"worker: {text}")
        except BaseException:
            worker.terminate()  # it stores and commits what it has in flight
            raise
    if worker.returncode != 0:
        words = "\n".join(said) or "(it said nothing)"
        raise _KINDS.get(worker.returncode, RollcallError)(
            f"`rollcall worker --drain` ended with exit code {worker.returncode}; nothing was sealed. It said:\n{words}"
        )
