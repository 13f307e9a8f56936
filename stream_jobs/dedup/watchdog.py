"""Ends a worker that hangs: work is under way, and nothing has moved for too long.

A thread, since what it watches for may block the event loop. An idle worker, or one without partitions, is alive.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

log = logging.getLogger("rollcall.worker")

EXIT_RESTART = 70
"""EX_SOFTWARE: the worker ended itself; start it again, and what was not committed is read again."""


def leave(code: int, sentence: str) -> NoReturn:
    """Ends the process at once, without Faust's shutdown, which would move past the batch in hand."""
    log.critical("%s", sentence, extra={"exit_code": code})
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def watch(alive: Callable[[], float], stall_seconds: float) -> None:
    """Starts the watch; `alive` tells when (monotonic seconds) something last moved."""

    def look() -> None:
        while True:
            time.sleep(min(1.0, stall_seconds / 5))
            if (silent := time.monotonic() - alive()) > stall_seconds:
                leave(EXIT_RESTART, f"nothing moved for {silent:.0f} s; nothing is lost, start it again")

    threading.Thread(target=look, name="watchdog", daemon=True).start()
