"""Rollcall beside its peers in one run, and what else its figures are: checked first, then shown.

    python -m bench                      # short: the worker and the producer
    python -m bench --full               # every part that `make bench-full` runs, in at most 30 minutes
    python -m bench --only memory --only storage
    python -m bench --only worker --partitions 1 16 --counted 0 95 --pack 1

Writes bench/results/NAME.json, NAME.md and NAME.svg; NAME is `full` with --full, else `latest`. Ends with 1 when
Rollcall itself failed or counted wrongly; a peer's failure is shown in the table.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from itertools import product

from rich.console import Console
from rich.markup import escape

from bench.budget import Budget
from bench.freshness import freshness
from bench.head import head
from bench.memory import memory
from bench.offline import close_section, forms_section, views_section
from bench.outage import outage
from bench.peers import CONTENDERS
from bench.producer import producer
from bench.report import Section, table
from bench.results import write
from bench.rows import rows
from bench.scale import scale
from bench.stack import running_stack
from bench.storage import storage
from bench.worker import SWEPT, Scenario, sweep, worker
from schemas.settings import Settings

console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
SHORT = ("worker", "producer")
FULL = ("worker", "producer", "freshness", "storage", "rows", "outage", "memory", "sweep")
OTHERS = ("scale", "views", "close", "forms")
"""Parts that take long or hold no peer; only by name."""
NEEDED = {"memory": 180.0, "outage": 60.0, "freshness": 60.0}
"""Seconds that must be left when a part begins."""


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stack is taken down then too
    parts = arguments.only or (FULL if arguments.full else SHORT)
    name = "full" if arguments.full and not arguments.only else "latest"
    facts = head(arguments.events, arguments.rounds, arguments.partitions, arguments.counted)
    console.print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    found: dict[str, Section] = {}
    budget = Budget(arguments.minutes)
    with running_stack() as stack:
        for part, measure in _parts(stack, arguments, budget).items():
            if part in parts:
                found[part] = _section(part, measure, budget)
                console.print(table(found[part]), *map(escape, found[part].notes), sep="\n")
                write(name, facts, found)
    sys.exit(any(section.failed for section in found.values()))


def _section(part: str, measure: Callable[[], Section], budget: Budget) -> Section:
    """One part; its failure is a section that says so, and the run goes on."""
    if not budget.left(NEEDED.get(part, 0.0)):
        return Section(part, (), notes=["No time was left for this part."])
    begun = time.monotonic()
    try:
        section = measure()
    except Exception as error:
        return Section(part, (), notes=[f"Failed: {type(error).__name__}: {error}"], failed=True)
    console.print(f"[dim]{part}: {time.monotonic() - begun:.0f} s[/dim]")
    return section


def _parts(stack: Settings, a: argparse.Namespace, budget: Budget) -> dict[str, Callable[[], Section]]:
    """Every part by its name, in the order of a run: what may be cut short comes last."""

    def tell(text: str) -> None:
        console.print(f"[dim]{escape(text)}[/dim]")

    scenarios = [
        Scenario(a.events, counted / 100, partitions, pack)
        for counted, partitions, pack in product(a.counted, a.partitions, a.pack)
    ]
    own_share = budget.share(0.6) if a.full else budget
    title = "Worker: events decoded, folded and (Rollcall, ClickHouse) stored"
    return {
        "worker": lambda: worker(stack, scenarios, a.rounds, CONTENDERS, own_share, tell, title),
        "producer": lambda: producer(stack, a.events // 2, min(a.rounds, 3), budget, tell),
        "freshness": lambda: freshness(stack, tell),
        "storage": lambda: storage(stack, a.events, tell),
        "rows": lambda: rows(stack, a.events // 200, tell),
        "outage": lambda: outage(stack, a.events, tell),
        "memory": lambda: memory(stack, a.subjects, tell),
        "scale": lambda: scale(stack, a.events, tell),
        "views": lambda: views_section(stack),
        "close": lambda: close_section(stack, a.rounds, tell),
        "forms": forms_section,
        "sweep": lambda: worker(
            stack, sweep(a.events // 3, a.pack), min(a.rounds, 2), SWEPT, budget, tell,
            "Worker: other shares of repeats, other numbers of partitions (no warm-up)", False,
        ),
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = (*FULL, *OTHERS)
    parser.add_argument("--full", action="store_true", help=f"{', '.join(FULL)}; a million events, 5 rounds")
    parser.add_argument("--only", action="append", choices=every, metavar="PART", help=", ".join(every))
    parser.add_argument("--events", type=int, help="in a topic (a 40th for stock Faust)")
    parser.add_argument("--subjects", type=int, default=5_000_000, help="that the worker's memory holds")
    parser.add_argument("--rounds", type=int, help="that count; one more warms up")
    parser.add_argument("--minutes", type=float, help="after so many no further round or part begins")
    parser.add_argument("--partitions", type=int, nargs="+", default=[4], help="of the topic: 1, 4, 16")
    parser.add_argument("--counted", type=int, nargs="+", default=[95], help="percent that repeat: 0, 50, 95, 99")
    parser.add_argument("--pack", type=int, nargs="+", default=[1, 100], help="events in a record")
    found = parser.parse_args()
    found.events = found.events or (1_000_000 if found.full else 200_000)
    found.rounds = found.rounds or (5 if found.full else 2)
    found.minutes = found.minutes or (30.0 if found.full else None)
    return found


if __name__ == "__main__":
    main()
