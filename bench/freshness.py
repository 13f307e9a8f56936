"""From produced to visible in ClickHouse, at a steady rate: packed by the producer, folded and stored by a worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.events import PROBE, events
from bench.figures import percentile
from bench.live import Probes, Source, live_worker
from bench.report import Section
from bench.stack import fresh_name, own
from infra.clickhouse.client import connect
from schemas.settings import Settings

WARM_UP = 3.0
USERS = f"SELECT uniqExactIf(subject, sku != '{PROBE}') FROM active_users"


def freshness(stack: Settings, tell: Callable[[str], None], rate: int = 10_000, seconds: float = 20.0) -> Section:
    """The delay of 20 probes a second among `rate` events a second, for `seconds` after a warm-up."""
    settings = own(stack, fresh_name())
    stream = list(events(int(rate * (seconds + 60)), 0.95))
    tell(f"freshness: {rate:,} events a second for {seconds:.0f} s")
    with live_worker(settings), Probes(settings) as probes:
        with Source(settings, stream, rate, probes) as source:
            if not probes.wait(1, 50):
                raise RuntimeError("nothing became visible within 50 s")
            time.sleep(WARM_UP)
            since, before = time.perf_counter(), source.sent
            time.sleep(seconds)
            achieved = (source.sent - before) / (time.perf_counter() - since)
        if not probes.wait(len(probes.sent), 30):
            raise RuntimeError(f"{len(probes.sent) - len(probes.seen)} of {len(probes.sent)} probes stayed invisible")
        delays = probes.delays(since)
    with connect(settings) as client:
        users = client.query(USERS).result_rows[0][0]
    if users != len(source.subjects):
        raise RuntimeError(f"{users:,} users were counted, the truth is {len(source.subjects):,}")
    found = {"rate": achieved, "probes": len(delays), "p50": percentile(delays, 0.5), "p99": percentile(delays, 0.99)}
    found["most"] = max(delays)
    row = [f"{achieved:,.0f}", str(len(delays)), *(f"{found[name]:.2f}" for name in ("p50", "p99", "most"))]
    return Section(
        "Freshness: produced to visible in ClickHouse", ("events/s", "probes", "p50, s", "p99, s", "most, s"), [row],
        ["The producer's own packing (50 ms at most) and the query that looks (every 20 ms) are in it."], found,
    )  # fmt: skip
