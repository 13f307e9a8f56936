"""The head of a run: what must be known to read its figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from bench.environments import PINS
from bench.events import events
from infra.local.kafka import kafka_version

_PACKAGES = (
    "aiokafka", "faust-streaming", "msgspec", "orjson", "kafka-python", "confluent-kafka", "chdb-core",
    "clickhouse-connect",
)  # fmt: skip


def head(count: int, rounds: int, partitions: Sequence[int], counted: Sequence[float]) -> dict[str, str]:
    """Lines to stand above the tables, by their names."""
    sizes = [len(event) for _, event in islice(events(1000, 0.5), 1000)]
    load = os.getloadavg()[0]
    busy = " (not idle: compare CPU seconds, not the clock)" if load > 1 else ""
    peers = "; ".join(f"{name}: {', '.join(pins)}" for name, pins in PINS.items())
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": (
            f"{_processor()}, {os.cpu_count()} cores, {_memory():.0f} GB, {platform.system()} {platform.machine()}; "
            f"load {load:.1f} at the start{busy}; broker and ClickHouse on the same machine"
        ),
        "versions": ", ".join([
            f"Python {platform.python_version()}", f"Kafka {kafka_version()}",
            *(f"{package} {version(package)}" for package in _PACKAGES),
        ]),
        "peers' own environments": peers,
        "events": f"{count:,} a topic, {sum(sizes) / len(sizes):.0f} bytes each on average",
        "partitions and repeats": (
            f"{', '.join(map(str, partitions))} partitions; {', '.join(f'{c:g} %' for c in counted)} already counted, "
            "where a table does not say otherwise"
        ),
        "rounds": f"{rounds} in shuffled order after a warm-up; medians; every result checked before its figure counts",
    }  # fmt: skip


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def _memory() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
