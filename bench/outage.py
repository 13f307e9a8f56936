"""After an outage: a backlog is read while new events go on coming in behind it."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.contenders.measure import peak_mb
from bench.events import events, users_of
from bench.figures import percentile
from bench.freshness import USERS
from bench.live import Probes, Source, live_worker
from bench.report import Section
from bench.stack import fill, fresh_name, own
from infra.clickhouse.client import connect
from schemas.settings import Settings

FIRST = 8
"""Probes that were sent right after the worker's start, in several partitions: when they are seen it has caught up."""
AFTERWARDS = 10.0


def outage(stack: Settings, backlog: int, tell: Callable[[str], None], rate: int = 1_000) -> Section:
    """How long a worker that starts on `backlog` events keeps new ones (`rate` a second) waiting, and its memory."""
    settings = own(stack, fresh_name())
    tell(f"outage: writing a backlog of {backlog:,} events")
    fill(settings, events(backlog, 0.95), 1)
    # The same events again: they change no count, and the truth stays known.
    current = events(backlog, 0.95)
    begun = time.perf_counter()
    with live_worker(settings) as pid, Probes(settings) as probes:
        with Source(settings, current, rate, probes) as source:
            if not probes.wait(FIRST, 300):
                raise RuntimeError("the worker did not catch up within 300 s")
            caught_up = max(probes.seen[number] for number in range(FIRST))
            sent = source.sent
            time.sleep(AFTERWARDS)
        if not probes.wait(len(probes.sent), 60):
            raise RuntimeError(f"{len(probes.sent) - len(probes.seen)} probes stayed invisible")
        memory = peak_mb(pid)
        delays = probes.delays(caught_up)
    with connect(settings) as client:
        users, truth = client.query(USERS).result_rows[0][0], users_of(backlog, 0.95)
    if users != truth:
        raise RuntimeError(f"{users:,} users were counted, the truth is {truth:,}")
    seconds = caught_up - begun
    found = {
        "backlog": backlog, "seconds": seconds, "rate": (backlog + sent) / seconds, "peak_mb": memory,
        "p99_afterwards": percentile(delays, 0.99),
    }  # fmt: skip
    row = [
        f"{backlog:,}", f"{rate:,}", f"{seconds:.1f}", f"{found['rate']:,.0f}", f"{memory:,.0f}",
        f"{found['p99_afterwards']:.2f}",
    ]  # fmt: skip
    columns = ("backlog", "new events/s meanwhile", "s until new events are seen", "events/s, start included",
               "worker's peak MB", "p99 afterwards, s")  # fmt: skip
    return Section("Catching up after an outage, one event a record", columns, [row], figures=found)
