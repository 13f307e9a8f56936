"""Where the worker's CPU goes: `python -m bench.profile [--pack 100] [--events N] [--rounds N]`.

CPU microseconds an event, by step, beside those of the hand-written loop on the same topic; medians of rounds in turn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.events import events
from bench.peers import CONTENDERS, TIMEOUT, run
from bench.stack import ROOT, environment, fill, fresh_name, own, running_stack
from schemas.settings import Settings

COUNTED, PARTITIONS = 0.95, 4


def profiled(settings: Settings, count: int) -> dict[str, float]:
    """CPU microseconds an event of the process (`all`) and of its steps."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.contenders.profiled"], cwd=ROOT, env=environment(settings), capture_output=True,
        text=True, check=True, timeout=TIMEOUT,
    )  # fmt: skip
    spent = json.loads(done.stderr.splitlines()[-1]) | {"all": json.loads(done.stdout.splitlines()[-1])["cpu"]}
    return {step: seconds / count * 1e6 for step, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.profile", description=__doc__)
    parser.add_argument("--pack", type=int, default=100, help="events a record")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    loop = next(each for each in CONTENDERS if each.name == "loop")
    found: list[dict[str, float]] = []
    with running_stack() as stack:
        topic = own(stack, fresh_name(), partitions=PARTITIONS)
        fill(topic, list(events(chosen.events, COUNTED)), chosen.pack)
        for _ in range(chosen.rounds):
            theirs = run(loop, topic, chosen.events, stack.home)
            ours = profiled(own(stack, topic.kafka.topic, fresh_name(), PARTITIONS), chosen.events)
            found.append(ours | {"the loop, all of it": theirs["cpu"] / chosen.events * 1e6})
    table = Table("step", "CPU µs an event", title=f"{chosen.events:,} events, {chosen.pack} a record, 95 % counted")
    steps = {step: median(each[step] for each in found) for step in found[0]}
    rest = steps["all"] - sum(steps[step] for step in ("fold", "columns", "learn", "heard", "insert", "garbage"))
    shown = (
        ("decode: JSON to checked events", steps["decode"]), ("the loop over them", steps["loop"]),
        ("the rest of the fold: events freed, records", steps["fold"] - steps["decode"] - steps["loop"]),
        ("columns, learning, who was heard of", steps["columns"] + steps["learn"] + steps["heard"]),
        ("inserts", steps["insert"]), ("garbage", steps["garbage"]), ("fetching, Faust, commits: all else", rest),
        ("Rollcall's worker", steps["all"]), ("the hand-written loop", steps["the loop, all of it"]),
    )  # fmt: skip
    for name, value in shown:
        table.add_row(name, f"{value:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
