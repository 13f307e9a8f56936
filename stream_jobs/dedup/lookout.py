"""Looks every few seconds at how the worker stands, for its health and metrics, and serves both.

The log's ends are asked over a connection of its own: the one that reads may be what hangs. Nothing that goes wrong
here keeps the worker from counting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError

from infra.kafka.connection import aiokafka_options
from infra.metrics.definitions import SOURCES
from infra.metrics.server import Answer, Server, serve
from schemas.settings import KafkaSettings, MetricsSettings
from stream_jobs.dedup.batch import Partition
from stream_jobs.dedup.health import Health, Look, Verdict
from stream_jobs.dedup.meters import Meters
from stream_jobs.dedup.pipeline import Pipeline
from stream_jobs.dedup.transport import BatchConsumer

log = logging.getLogger("rollcall.worker")

EVERY_SECONDS, ASK_SECONDS = 2.0, 10.0


class Lookout:
    """Watches one worker. `health` may be judged from any thread."""

    def __init__(self, kafka: KafkaSettings, pipeline: Pipeline, health: Health) -> None:
        self._kafka, self._pipeline, self._health = kafka, pipeline, health
        self._said = Verdict(live=True, ready=False, stuck=False)
        self._blind = False

    async def keep(self, consumer: Callable[[], BatchConsumer], stopped: Callable[[], bool]) -> None:
        """Looks until stopped."""
        ends, known = LogEnds(self._kafka), dict[Partition, int]()
        try:
            while not stopped():
                try:
                    told = await ends.ask(consumer().ledger.partitions())
                    known |= told or {}  # while Kafka does not answer, the lag is what it was at the least
                    self._look(consumer(), known, answered=told is not None)
                except Exception:
                    if not self._blind:
                        log.exception("a fault of Rollcall's own: how the worker stands cannot be seen; it counts on")
                    self._blind = True
                    self._health.unseen()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            self._health.ending()
            await ends.close()

    def _look(self, reader: BatchConsumer, ends: Mapping[Partition, int], *, answered: bool) -> None:
        looks = [look_at(reader, each, ends.get(each)) for each in reader.ledger.partitions()]
        self._health.looked(looks, joined=reader.placed, answered=answered)
        verdict = self._health.judge()
        pipeline = self._pipeline
        pipeline.meters.looked(
            looks, verdict, self._health.still(), reader.assignments, pipeline.cached(), pipeline.ratios(SOURCES)
        )  # fmt: skip
        if verdict.stuck != self._said.stuck:
            if verdict.stuck:
                log.warning("stuck: %s", verdict.why[0], extra=dict(verdict.facts))
            else:
                log.info("no longer stuck", extra=dict(verdict.facts))
        self._said = verdict


def look_at(reader: BatchConsumer, partition: Partition, end: int | None) -> Look:
    oldest = reader.ledger.oldest(partition)
    stored = reader.ledger.expected(partition) if oldest is None else oldest.first
    appended = None if oldest is None else oldest.records[0].timestamp / 1000
    return Look(partition.partition, stored, reader.read_up_to(partition), end, appended)


class LogEnds:
    """Asks Kafka where the partitions end now; connects when it is first asked, and again when that failed."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client: Any = None

    async def ask(self, partitions: list[Partition]) -> dict[Partition, int] | None:
        """The offset of each one's next record; None when Kafka does not answer within ASK_SECONDS."""
        try:
            return await asyncio.wait_for(self._ask(partitions), ASK_SECONDS)
        except (TimeoutError, KafkaError, OSError):
            await self.close()
            return None

    async def _ask(self, partitions: list[Partition]) -> dict[Partition, int]:
        if self._client is None:
            self._client = aiokafka.AIOKafkaConsumer(**aiokafka_options(self._kafka), client_id="rollcall-lookout")
            await self._client.start()
            await self._client._client._wait_on_metadata(self._kafka.topic)
        wanted = [aiokafka.TopicPartition(*each) for each in partitions]
        found = await self._client.end_offsets(wanted) if wanted else {}
        return {Partition(at.topic, at.partition): end for at, end in found.items()}

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.stop(), 2)


def serve_health(
    settings: MetricsSettings, group: str, seat: int, meters: Meters, health: Health
) -> Server | None:  # fmt: skip
    """Serves /metrics and /health/… on the seat's port; None, with a line in the log, when it cannot be had.

    A worker that counts unseen is better than one that is seen not to count.
    """
    if settings.port == 0:
        return None
    port = settings.port + seat
    checks = {f"/health/{name}": partial(answer, health, group, name) for name in ("live", "ready", "stuck")}
    try:
        server = serve(settings.host, port, meters.registry, checks)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        log.warning(
            "metrics and health are not served: %s port %d cannot be had (%s); set ROLLCALL_METRICS_PORT to another, "
            "or to 0", settings.host, port, reason.lower(),
        )  # fmt: skip
        return None
    log.info("metrics and health on http://%s:%d", settings.host, server.port, extra={"port": server.port})
    return server


def answer(health: Health, group: str, name: str) -> Answer:
    """`live` and `ready` are well when they hold, `stuck` when it does not."""
    verdict = health.judge()
    well = {"live": verdict.live, "ready": verdict.ready, "stuck": not verdict.stuck}[name]
    facts = {"live": verdict.live, "ready": verdict.ready, "stuck": verdict.stuck, "why": list(verdict.why)}
    return Answer(well, {"group": group, **facts, **verdict.facts})
