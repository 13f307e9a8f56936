"""Whether the worker's cost an event stays the same: with two workers, and with a topic five times as long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.drained import TIMEOUT
from bench.events import events, users_of
from bench.peers import ROLLCALL, run
from bench.report import Section
from bench.stack import fill, fresh_name, own
from schemas.settings import Settings

LONGER = 5


def scale(stack: Settings, count: int, tell: Callable[[str], None]) -> Section:
    """CPU seconds a million of all workers together; 95 % already counted, one event a record."""
    columns = ("events in the topic", "workers", "events/s", "CPU s/million", "of the first row", "events read")
    section = Section("Rollcall alone: more workers, more events", columns, figures=[])
    for size, workers in ((count, 1), (count, 2), (LONGER * count, 1)):
        settings = own(stack, fresh_name())
        tell(f"scale: {size:,} events, workers: {workers}")
        fill(settings, events(size, 0.95), 1)
        with ThreadPoolExecutor(workers) as pool:
            begun = [pool.submit(run, ROLLCALL, settings, size, Path(), TIMEOUT * 2 * LONGER) for _ in range(workers)]
            found = [each.result() for each in begun]
        read, truth = sum(one["events"] for one in found), users_of(size, 0.95)
        # A worker that joins may make another read again what it had not committed, never less. The last to end has
        # looked at all that is stored.
        users = max(one["users"] for one in found)
        if read < size or users != truth:
            raise RuntimeError(f"read {read:,} of {size:,} events and counted {users:,} users, the truth is {truth:,}")
        cpu = sum(one["cpu"] for one in found) / size * 1e6
        rate = size / max(one["wall"] for one in found)
        section.figures.append({"events": size, "workers": workers, "rate": rate, "cpu": cpu, "read": read})
        of_first = cpu / section.figures[0]["cpu"]
        section.rows.append([
            f"{size:,}", str(workers), f"{rate:,.0f}", f"{cpu:.2f}", f"{of_first:.2f}", f"{read:,}",
        ])  # fmt: skip
    return section
