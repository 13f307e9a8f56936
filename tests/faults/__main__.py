"""`make faults`: the whole schedule; `make soak`: hours. Exit code 1 when anything was missing, extra or ahead, 2 when
some fault had no round, or some round of the whole schedule was left out."""

from __future__ import annotations

import argparse
import logging
import platform
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from infra.local.kafka import kafka_version
from tests.faults import other_faults, server_faults, worker_faults
from tests.faults.fault import Fault
from tests.faults.run import Results, run, schedule, table
from tests.faults.stack import own_stack

KILLS = worker_faults.KILLS
OTHERS = [*worker_faults.OTHERS, *other_faults.OTHERS]
SERVERS = [*server_faults.KAFKA, *server_faults.CLICKHOUSE]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=20261101)
    parser.add_argument("--minutes", type=float, default=20.0, help="no round begins later")
    parser.add_argument("--share", type=float, default=1.0, help="of the rounds")
    parser.add_argument("--only", action="append", help="faults whose name has this in it; may be repeated")
    parser.add_argument("--lanes", type=int, default=2, help="Rollcalls that are hurt side by side")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="a soak instead")
    parser.add_argument("--readers", type=int, metavar="ROUNDS", help="kill -9 of every source's reader instead")
    parser.add_argument("--gateway", type=int, metavar="ROUNDS", help="kill -9 of the gateway under load instead")
    chosen = parser.parse_args()
    if chosen.readers:
        from tests.faults import readers, source_runs

        return readers.report(chosen.readers) or source_runs.report(chosen.readers)
    if chosen.gateway:
        from tests.faults import gateways

        return gateways.report(chosen.gateway, chosen.seed)
    for library in ("clickhouse_connect", "kafka"):  # servers are away on purpose
        logging.getLogger(library).setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stack and its file system are taken down then too
    begun, results = time.monotonic(), Results()
    with tempfile.TemporaryDirectory(prefix="rollcall-faults-") as name, own_stack(Path(name)) as stack:
        if chosen.soak:
            from tests.faults.soak import soak

            return soak(stack, Path(name), chosen.seed, chosen.soak, tell)
        # Faults of a server hurt everybody on it: they come last, and one at a time.
        phases: list[list[Fault]] = [
            [f for f in faults if any(words in f.name for words in chosen.only or [""])]
            for faults in ([*KILLS, *OTHERS], SERVERS)
        ]  # fmt: skip
        for named, lanes, share in zip(phases, (chosen.lanes, 1), (0.6 if phases[1] else 1.0, 1.0), strict=True):
            rounds = schedule(named, chosen.seed, chosen.share)
            if rounds:
                run(stack, Path(name), rounds, seed=chosen.seed, lanes=min(lanes, len(rounds)), results=results,
                    deadline=begun + 60 * chosen.minutes * share, tell=tell)  # fmt: skip
    tell(f"\n{datetime.now(UTC):%Y-%m-%d}, seed {chosen.seed}, {(time.monotonic() - begun) / 60:.1f} minutes, "
         f"{platform.machine()}, Python {platform.python_version()}, Kafka {kafka_version()}\n")  # fmt: skip
    tell(table(results))
    for fault, reason in results.not_had.items():
        tell(f"not had: {fault}: {reason}")
    if results.left_out:
        tell(f"left out, time was up: {', '.join(sorted(results.left_out))}")
    for fault, seed, what in results.failed:
        tell(f"FAILED {fault} (seed {seed}): {what.splitlines()[0]} … {what.splitlines()[-1]}")
    lacking = results.lacking(fault for named in phases for fault in named)
    if lacking:
        tell(f"INCOMPLETE, no round of: {', '.join(lacking)}")
    tell(f"{len(results.rounds)} rounds, {results.kills} × kill -9: {'exact' if results.holds else 'NOT EXACT'}")
    if not results.holds:
        return 1
    whole = chosen.share >= 1 and not chosen.only
    return 2 if lacking or not results.rounds or (whole and results.left_out) else 0


def tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
