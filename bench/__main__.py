"""`make bench`: Rollcall beside its peers in one run. Prints the machine, versions, medians and ratios.

    python -m bench [--events 400000] [--rounds 3] [--only worker|producer|views|close|forms]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import close, forms, producer, views, worker
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import down, up
from schemas.settings import Settings

RESULTS = Path(__file__).parent / "results"
console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("worker", "producer", "views", "close", "forms"))
    arguments = parser.parse_args()
    head = _head(arguments)
    console.print("\n".join(f"{name}: {value}" for name, value in head.items()))
    results: dict[str, Any] = {"head": head}
    if arguments.only in (None, "forms"):
        made = forms.measure()
        console.print(forms.table(made))
        results["forms"] = [t._asdict() for t in made]
    if arguments.only != "forms":
        _on_a_stack(arguments, results)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=1, default=str) + "\n")


def _on_a_stack(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
        kafka, clickhouse = free_port(), free_port()
        stack = Settings(
            home=Path(folder) / "home",
            kafka={"bootstrap": f"{LOOPBACK}:{kafka}"},
            clickhouse={"url": f"http://{LOOPBACK}:{clickhouse}"},
            local={"kafka_port": kafka, "clickhouse_port": clickhouse},
        )
        up(stack, lambda _: None)
        try:
            if arguments.only in (None, "worker"):
                results["worker"] = _worker(stack, arguments.events, arguments.rounds)
            if arguments.only in (None, "producer"):
                results["producer"] = _producer(stack, arguments.events, arguments.rounds)
            if arguments.only in (None, "views"):
                results["views"] = _views(stack)
            if arguments.only in (None, "close"):
                timings = close.measure(stack, rounds=arguments.rounds, tell=console.print)
                console.print(close.table(timings))
                results["close"] = [t._asdict() for t in timings]
        finally:
            down(stack, lambda _: None)


def _head(arguments: argparse.Namespace) -> dict[str, Any]:
    packages = ("aiokafka", "faust-streaming", "kafka-python", "confluent-kafka", "chdb-core", "clickhouse-connect")
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} at the start",
        "versions": ", ".join([f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)]),
        "run": f"{arguments.events:,} events of about 280 bytes, 4 partitions, {arguments.rounds} rounds, medians",
    }


def _worker(stack: Settings, count: int, rounds: int) -> list[dict[str, Any]]:
    table = Table(
        "already counted", "records", "contender", "events/s", "of the loop", "of stock Faust", "CPU s/million",
        "ClickHouse CPU s/million", title="Worker (the others neither validate nor store)", title_justify="left",
    )  # fmt: skip
    rows = []
    for counted, pack in ((0.95, 1), (0.95, 100), (0.0, 1), (0.0, 100)):
        found, stored = worker.measure(stack, count, rounds, counted, pack)
        rates = {name: worker.medians(figures) for name, figures in found.items()}
        for name, (rate, cpu, server) in rates.items():
            ours = name == "rollcall"
            table.add_row(
                f"{counted:.0%}", "one event" if pack == 1 else f"packed by {pack}", name, f"{rate:,.0f}",
                f"{rate / rates['loop'][0]:.2f}", f"{rate / rates['stock Faust'][0]:.1f}", f"{cpu:.2f}",
                f"{server:.2f}" if ours else "",
            )  # fmt: skip
            rows.append({
                "counted": counted, "pack": pack, "contender": name, "rate": rate, "cpu": cpu, "server_cpu": server,
                "rates": found[name].rates, "bytes_a_row": stored.bytes_a_row,
            })  # fmt: skip
    console.print(table)
    console.print(f"active_users: {stored.bytes_a_row:.1f} bytes a row on disk, over {stored.rows:,} merged rows")
    return rows


def _producer(stack: Settings, count: int, rounds: int) -> dict[str, float]:
    rates = producer.measure(stack, count, rounds)
    table = Table("contender", "events/s", "of confluent-kafka", title="Producer (acknowledged)", title_justify="left")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / rates['confluent-kafka, one a record']:.2f}")
    console.print(table)
    return rates


def _views(stack: Settings) -> Any:
    table = Table("parts", "view", "filter", "ms", "rows", title="Views, a million active users", title_justify="left")
    timings = views.measure(stack)
    for t in timings:
        table.add_row(t.parts, t.view, t.where or "none", f"{t.median_ms:,.0f}", f"{t.rows:,}")
    console.print(table)
    return [t._asdict() for t in timings]


if __name__ == "__main__":
    main()
