"""Rollcall's worker with a stop-watch at each step: CPU seconds of the thread that takes it. Adds some 2 %."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bench.contenders import rollcall
from schemas import fast
from stream_jobs.dedup import fold, heard, rows
from stream_jobs.dedup.garbage import Collector
from stream_jobs.dedup.sink import Sink

STEPS: tuple[tuple[str, Any, str], ...] = (
    ("fold", fold.Folder, "fold"), ("_accepted", fast.Reader, "decode"),
    ("_take", fold.Folder, "loop"), ("people", rows, "columns"), ("learn", rows, "learn"),
    ("fresh", heard.Heard, "heard"), ("_insert", Sink, "insert"), ("collect", Collector, "garbage"),
)  # fmt: skip
"""Function, where it is, and the step that its time is of; `fold` holds `decode` and `loop`."""


def main() -> None:
    spent: dict[str, float] = defaultdict(float)

    def watched(real: Callable[..., Any], step: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begun = time.thread_time()
            try:
                return real(*arguments, **named)
            finally:
                spent[step] += time.thread_time() - begun

        return call

    for name, place, step in STEPS:
        setattr(place, name, watched(getattr(place, name), step))
    rollcall.main()
    print(json.dumps(spent), file=sys.stderr)


if __name__ == "__main__":
    main()
