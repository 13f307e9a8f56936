"""What a gateway counts, and what its health checks say."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from infra.metrics import definitions as metrics
from infra.metrics.instruments import Instruments
from infra.metrics.server import Answer
from infra.version import own_version
from producers.gateway.keys import KeyRing
from producers.gateway.link import Link
from producers.gateway.spool import Spool

TELL_SECONDS: Final = 10.0
log = logging.getLogger("rollcall.gateway")


class Meters:
    """Counted by the event loop, read by the thread that serves metrics."""

    def __init__(self, topic: str, spool: Spool, link: Link, ring: KeyRing, spool_limit: int) -> None:
        self._spool, self._link, self._ring = spool, link, ring
        self.connections: Callable[[], int] = lambda: 0
        self._told = float("-inf")
        self.waiting_bytes = 0
        """Bodies in hand; the application keeps it."""
        self.instruments = made = Instruments(metrics.GATEWAYS)
        made.inform(metrics.GATEWAY, {"version": own_version(), "topic": topic})
        made.set(metrics.GATEWAY_SPOOL_LIMIT, spool_limit)
        made.set_function(metrics.GATEWAY_WAITING, lambda: self.waiting_bytes)
        made.set_function(metrics.GATEWAY_CONNECTIONS, lambda: self.connections())
        made.set_function(metrics.GATEWAY_SPOOL_BYTES, lambda: spool.size)
        made.set_function(metrics.GATEWAY_SPOOL_SECONDS, lambda: spool.oldest_seconds)
        made.set_function(metrics.GATEWAY_KAFKA, lambda: link.up)
        made.set_function(metrics.GATEWAY_READY, lambda: self.ready().well)

    def answered(self, status: int, begun: float) -> None:
        self.instruments.count(metrics.GATEWAY_REQUESTS, 1, str(status))
        self.instruments.observe(metrics.GATEWAY_SECONDS, time.perf_counter() - begun)

    def events(self, result: str, reason: str, count: int) -> None:
        self.instruments.count(metrics.GATEWAY_EVENTS, count, result, reason)

    def unavailable(self, why: str) -> None:
        """Something could not be stored; the log says why at most every TELL_SECONDS."""
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            log.error("senders are told to come back, their events cannot be stored: %s", why)

    def live(self) -> Answer:
        return Answer(True, {"live": True})

    def ready(self) -> Answer:
        """Ready: events can be stored somewhere, and there is a key to send them with."""
        keys, why = self._ring.in_force(datetime.now(UTC)), list[str]()
        if not self._link.up:
            why.append(f"events go to the spool: {self._link.why}")
        if not self._link.up and not self._spool.room:
            why.append("the spool is nearly full: bring Kafka back, or raise gateway.spool_bytes")
        if self._ring.fault:
            why.append(self._ring.fault)
        well = keys > 0 and (self._link.up or self._spool.room)
        facts: dict[str, Any] = {
            "ready": well, "kafka": self._link.up, "spool_bytes": self._spool.size,
            "spool_seconds": round(self._spool.oldest_seconds, 1), "keys": keys, "why": why,
        }  # fmt: skip
        return Answer(well, facts)
