"""Planning past one machine: from measured figures to partitions, workers, ClickHouse and disks.

    python -m bench.planning            # prints the tables of docs/scale.md
    python -m bench.planning --write    # writes them into the page

The arithmetic is `plan`; `bench/simulation.py` runs each plan in small through a peak hour and a day's outage.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "scale.md"

# Measured, on two cores (docs/performance.md; the last five by the runs that docs/scale.md names).
EVENTS_PER_SECOND: Final = 140_000
"""One worker, one event a record, 95 % counted already."""
CPU_PER_EVENT: Final = 6.5e-6
CPU_PER_ROW: Final = 5.0e-6
"""What a row that must be written costs the worker beside its event: 0 % counted less 95 % counted."""
ROWS_PER_SECOND: Final = 235_000
"""What ClickHouse takes on two cores, from all workers together."""
COUNT_CPU_PER_ROW: Final = 0.26e-6
CLOSE_CPU_PER_ROW: Final = 2.2e-6
INSERTS_PER_SECOND: Final = 50
"""Small inserts that ClickHouse takes and merges away on two busy cores: parts stay few."""
INSERT_SECONDS: Final = 0.012
ROW_BYTES, SEAL_BYTES, NAME_BYTES = 46, 42, 27
"""A row of active_users (ZSTD), of seal_subjects, of subject_names, on disk after merges."""
CACHE_BYTES: Final = 153
"""A remembered row in a worker's memory."""
EVENT_BYTES: Final = 277
"""An event in the log, not compressed."""

# Assumed. Change them here for a site of your own.
SKUS_PER_USER: Final = 1.2
ACTIVE_SHARE: Final = 0.6
"""Of the month's users, on a working day."""
DAY: Final = (0.5,) * 6 + (2, 6, 14, 20, 11, 8, 7, 8, 6, 5, 4, 3) + (0.5,) * 6
"""Percent of a day's logins by hour."""
PEAK_LOAD: Final = 0.5
"""Of a worker's time, in the peak hour, at most."""
CATCH_UP_HOURS: Final = 4.0
"""After a day's outage, at most."""
MONTHS_KEPT, CLICKHOUSE_REPLICAS, KAFKA_REPLICAS = 36, 2, 3
COUNT_SECONDS: Final = 5.0
"""A dashboard that counts the whole month waits so long at most."""


@dataclass(frozen=True)
class Site:
    name: str
    users: int
    logins: int
    """A working day's."""

    @property
    def rows_a_month(self) -> float:
        """Users times SKUs: what is counted and stored."""
        return self.users * SKUS_PER_USER

    @property
    def rows_a_day(self) -> float:
        """Each user's first login of the day with each SKU writes a row: a new day is a new bit."""
        return self.rows_a_month * ACTIVE_SHARE

    @property
    def peak(self) -> float:
        """Logins a second in the peak hour."""
        return self.logins * max(DAY) / 100 / 3600


SITES: Final = (
    Site("10 thousand users", 10_000, 30_000),
    Site("1 million users", 1_000_000, 3_000_000),
    Site("100 million users", 100_000_000, 300_000_000),
    Site("100 million users, 1 billion logins a day", 100_000_000, 1_000_000_000),
)


@dataclass(frozen=True)
class Plan:
    site: Site
    workers: int
    partitions: int
    cache_entries: int
    """Of each worker (ROLLCALL_WORKER_CACHE_ENTRIES)."""

    @property
    def seconds_a_day(self) -> float:
        """Of all workers' time: reading, and writing rows."""
        return self.site.logins / EVENTS_PER_SECOND + self.site.rows_a_day * CPU_PER_ROW

    @property
    def load(self) -> float:
        """Of each worker's time in the peak hour, when inserts are as large as they need to be."""
        return self.seconds_a_day * max(DAY) / 100 / 3600 / self.workers

    @property
    def catch_up_hours(self) -> float:
        """A day's logins, and nothing but those: the hours after midnight bring little."""
        return max(self.seconds_a_day / self.workers, self.site.rows_a_day / ROWS_PER_SECOND) / 3600

    @property
    def memory(self) -> float:
        return self.cache_entries * CACHE_BYTES

    @property
    def cores(self) -> int:
        """ClickHouse's, of one replica."""
        return max(2, ceil(self.site.rows_a_month * COUNT_CPU_PER_ROW / COUNT_SECONDS))

    @property
    def freshness(self) -> float:
        """Seconds until every partition has had its insert, when each of them is small."""
        return self.partitions / INSERTS_PER_SECOND

    @property
    def clickhouse_disk(self) -> float:
        """Of one replica: every month's rows, sealed once, and the names."""
        month = self.site.rows_a_month * (ROW_BYTES + SEAL_BYTES)
        return month * MONTHS_KEPT + self.site.users * NAME_BYTES

    def kafka_disk(self, days: int) -> float:
        """Of all replicas; weekends counted as working days."""
        return self.site.logins * EVENT_BYTES * days * KAFKA_REPLICAS


CACHE_MOST: Final = 10_000_000
"""Rows that one worker may remember: 2.8 GB."""


def plan(site: Site) -> Plan:
    """As few workers as keep the peak hour, the catch-up and the cache within bounds; two at least, a power of two."""
    seconds = site.logins / EVENTS_PER_SECOND + site.rows_a_day * CPU_PER_ROW
    needed = max(
        seconds * max(DAY) / 100 / 3600 / PEAK_LOAD,
        seconds / 3600 / CATCH_UP_HOURS,
        # Half of the cache holds what is met; a tenth more because partitions are not equal.
        2.2 * site.rows_a_day / CACHE_MOST,
    )
    workers = 2
    while workers < needed:
        workers *= 2
    million = 1_000_000
    entries = max(1, ceil(2.2 * site.rows_a_day / workers / million)) * million
    return Plan(site, workers, max(4, 2 * workers), entries)


def planned(plans: list[Plan]) -> str:
    """The first table: what to buy."""
    rows = [
        ("logins a second in the peak hour", [number(p.site.peak) for p in plans]),
        ("rows stored a month", [number(p.site.rows_a_month) for p in plans]),
        ("rows written a day", [number(p.site.rows_a_day) for p in plans]),
        ("**workers**", [str(p.workers) for p in plans]),
        ("**partitions**", [str(p.partitions) for p in plans]),
        ("`ROLLCALL_WORKER_CACHE_ENTRIES`", [number(p.cache_entries) for p in plans]),
        ("memory of a worker's cache", [size(p.memory) for p in plans]),
        ("workers' CPU a day, all together", [span(p.site.logins * CPU_PER_EVENT
                                                   + p.site.rows_a_day * CPU_PER_ROW) for p in plans]),
        ("a worker's load in the peak hour", [share(p.load) for p in plans]),
        ("catching up after a day's outage", [span(p.catch_up_hours * 3600) for p in plans]),
        ("an insert into every partition takes", [f"{p.freshness:.1f} s" for p in plans]),
        ("**ClickHouse shards**", ["1"] * len(plans)),
        ("**ClickHouse cores**, each replica", [str(p.cores) for p in plans]),
        ("a close, CPU", [span(p.site.rows_a_month * CLOSE_CPU_PER_ROW) for p in plans]),
        (f"**ClickHouse disk**, each replica, {MONTHS_KEPT} months", [size(p.clickhouse_disk) for p in plans]),
        (f"**Kafka disk**, {KAFKA_REPLICAS} replicas, 396 days", [size(p.kafka_disk(396)) for p in plans]),
        (f"**Kafka disk**, {KAFKA_REPLICAS} replicas, 62 days", [size(p.kafka_disk(62)) for p in plans]),
    ]  # fmt: skip
    return table([p.site.name for p in plans], rows)


def table(columns: list[str], rows: list[tuple[str, list[str]]]) -> str:
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join([name, *cells]) + " |" for name, cells in rows)]) + "\n"


def number(value: float) -> str:
    for unit, word in ((1e9, " billion"), (1e6, " million")):
        if value >= unit:
            return f"{value / unit:.3g}{word}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def size(value: float) -> str:
    unit, word = next((u, w) for u, w in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (0, "B")) if value >= u)
    return f"{value / (unit or 1):.2g} {word}" if value < 10 * unit else f"{value / (unit or 1):,.0f} {word}"


def span(seconds: float) -> str:
    if seconds < 1:
        return "below 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def share(value: float) -> str:
    return "below 0.1 %" if value < 0.001 else f"{value * 100:.{0 if value > 0.095 else 1}f} %"


def written(page: str, tables: dict[str, str]) -> str:
    """The page with what stands between the marks of each table made anew."""
    for name, text in tables.items():
        begin, end = f"<!-- scale: {name} -->\n", f"<!-- end of scale: {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"the page has not one place for the table {name!r}")
        before, _, rest = page.partition(begin)
        page = before + begin + text + end + rest.partition(end)[2]
    return page


def tables() -> dict[str, str]:
    from bench.simulation import simulated, smaller_caches  # which needs the figures above

    plans = [plan(site) for site in SITES]
    return {"plan": planned(plans), "simulation": simulated(plans), "caches": smaller_caches(plans[-1])}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.planning", description=__doc__)
    parser.add_argument("--write", action="store_true")
    made = tables()
    if parser.parse_args().write:
        PAGE.write_text(written(PAGE.read_text("utf-8"), made), "utf-8")
    else:
        print("\n".join(made.values()))
