"""What live subjects cost a worker in memory: with all of them remembered, and with a fifth of them.

The bound is the setting `worker.cache_entries`. Passing it costs rows, never a count: both runs must find them all.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.drained import drained
from bench.events import distinct
from bench.figures import Truth
from bench.report import Section
from bench.stack import fill, fresh_name, own
from schemas.settings import Settings


def memory(stack: Settings, subjects: int, tell: Callable[[str], None]) -> Section:
    """Peak resident size of a worker that reads `subjects` subjects, then a tenth as many events of any of them."""
    topic = fresh_name()
    repeats = subjects // 10
    tell(f"memory: writing events of {subjects:,} subjects")
    fill(own(stack, topic), distinct(subjects, repeats), 100)
    columns = ("subjects", "cache_entries", "worker's peak MB", "rows written", "events/s", "counts")
    section = Section(f"Worker's memory, {subjects / 1e6:g} million live subjects", columns, figures=[])
    # The cache forgets its old half when the young one is full: twice the subjects are never forgotten.
    for entries in (2 * subjects, max(1000, subjects // 5)):
        settings = own(stack, topic, fresh_name(), cache_entries=entries)
        found = drained(settings, Truth(subjects + repeats, subjects))
        rate = found["events"] / found["wall"]
        section.rows.append([
            f"{subjects:,}", f"{entries:,}", f"{found['peak_mb']:,.0f}", f"{found['rows']:,.0f}", f"{rate:,.0f}",
            "exact",
        ])  # fmt: skip
        section.figures.append({"subjects": subjects, "entries": entries, **found})
        tell(f"memory: {entries:,} entries: {found['peak_mb']:,.0f} MB")
    return section
