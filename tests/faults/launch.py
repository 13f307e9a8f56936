"""A worker's process, forked from a server that has imported everything: a start costs a second less, a death nothing.

It runs the `rollcall worker` command as it is, with a tracer that notes which batches are done. `patches` names what
is changed on purpose: `dynamic` membership, or a rule that is broken so that the suite can be seen to find it.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["stream_jobs.dedup.job", "console.main", "console.worker", "tests.faults.launch"])


def launch(environment: Mapping[str, str], said: Path, trace: Path, patches: tuple[str, ...] = ()) -> ForkServerProcess:
    """Starts a worker; its standard error goes to `said`, done batches as `partition first last` lines to `trace`."""
    process = CONTEXT.Process(target=run, args=(dict(environment), str(said), str(trace), patches))
    process.start()
    return process


def run(environment: Mapping[str, str], said: str, trace: str, patches: tuple[str, ...]) -> None:
    """In the new process. Its session is its own: frozen, it stays so when the shell that began all this ends."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    random.seed()
    from stream_jobs.dedup import failpoints

    importlib.reload(failpoints)  # it was imported with another environment
    _trace(trace)
    for name in patches:
        from tests.faults import patches as all_patches

        getattr(all_patches, name)()
    from console.main import main

    main(["worker"])


def _trace(file: str) -> None:
    from stream_jobs.dedup.commits import Ledger

    out, done = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), Ledger.done

    def noted(self: Ledger, batch: Any) -> None:
        os.write(out, f"{batch.partition.partition} {batch.first} {batch.last}\n".encode())
        done(self, batch)

    Ledger.done = noted  # type: ignore[method-assign]


def main() -> None:
    """The same in a process of its own: `python -m tests.faults.launch SAID TRACE`, with the environment as it is."""
    run(os.environ.copy(), sys.argv[1], sys.argv[2], ())


if __name__ == "__main__":
    main()
