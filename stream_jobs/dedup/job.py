"""The Faust job: fold → insert → done → commit, at least once, in offset order.

`prepare` finds everything that must be there before the job may run, `make_app` is the job, `run` is a worker's whole
life. `faust -A stream_jobs.dedup worker` runs the same app.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import faust
import stamina
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra import logs
from infra.clickhouse.client import explained
from infra.errors import OutOfReach, RollcallError
from infra.generation import number_in_force
from infra.kafka.connection import addresses, aiokafka_options, tls_context
from infra.keys import fingerprints, stored_fingerprints
from schemas.settings import KafkaSettings, LogSettings, Settings
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.drained import drained
from stream_jobs.dedup.failpoints import reach
from stream_jobs.dedup.fold import Folded
from stream_jobs.dedup.garbage import Collector
from stream_jobs.dedup.ground import Ground, find_ground
from stream_jobs.dedup.health import Health
from stream_jobs.dedup.lookout import Lookout, serve_health
from stream_jobs.dedup.meters import Meters
from stream_jobs.dedup.pipeline import Pipeline
from stream_jobs.dedup.progress import Progress
from stream_jobs.dedup.seat import give_up_seat, seat_number, take_seat
from stream_jobs.dedup.transport import BatchApp, RawCodec, settings_of_faust
from stream_jobs.dedup.trips import read_lifts
from stream_jobs.dedup.watchdog import EXIT_RESTART, leave, watch

log = logging.getLogger("rollcall.worker")

STOP_SECONDS = 25.0
FOLLOW_SECONDS = 2.0
"""How often a worker looks whether another generation is in force, or another key begins."""


def prepare(settings: Settings) -> Ground:
    """What a worker stands on; no cap may have tripped. Raises RollcallError with the cure."""
    ground = find_ground(settings)
    with explained(settings.clickhouse):
        read_lifts(ground.client, settings)
    return ground


def make_app(settings: Settings, ground: Ground, *, drain: bool = False) -> BatchApp:
    """The job as a Faust app; with `drain` it ends itself when the topic, as it stands at the start, is stored."""
    kafka, generation = settings.kafka, ground.generation
    group, floor = generation.group(kafka), generation.floor(ground.topic_id)
    seat = take_seat(settings.home, group)
    app = BatchApp(
        group,
        broker=[f"kafka://{address}" for address in addresses(kafka)],
        **settings_of_faust({
            "broker_credentials": _credentials(kafka),
            "consumer_group_instance_id": seat,
            "topic_partitions": ground.partitions,
            "broker_max_poll_records": settings.worker.max_poll_records,
            "broker_session_timeout": settings.worker.session_seconds,
            "datadir": str(settings.home / "faust"),
        }),
    )
    app.floor = floor
    meters = Meters()
    meters.introduce(settings, generation.number, group, seat)
    health = Health(settings.worker.stuck_seconds, settings.worker.stall_seconds)
    pipeline = Pipeline(settings, ground.client, ground.topic_id, ground.keys, generation.table, meters)
    progress = Progress(ground.client, ground.topic_id)
    finished = asyncio.Event()
    source = app.topic(kafka.topic, key_type=bytes, key_serializer="raw", value_type=None, value_serializer=RawCodec())

    @app.agent(source, name="dedup", concurrency=1)
    async def dedup(stream: Any) -> None:
        """Folds a batch while the one before it is stored; stores them one at a time, in order."""
        storing: asyncio.Task[None] | None = None
        assignments = -1
        garbage = Collector()

        async def store(event: Any, folded: Folded) -> None:
            with ending(event.value):
                await pipeline.store(event.value, folded)
            app.consumer.done(event.value)
            reach("done")
            progress.note(event.value)
            await stream.ack(event)  # Faust's own bookkeeping, for its shutdown
            finished.set()
            garbage.collect()

        async for event in stream.noack().events():  # noack: an exception must not acknowledge
            with ending(event.value):
                if assignments != app.consumer.assignments:
                    assignments = app.consumer.assignments
                    if storing:
                        await storing
                    await pipeline.reassigned()
                if lost := app.consumer.take_lost(event.value):
                    await pipeline.store_lost(event.value, *lost)
                folded = await pipeline.fold(event.value)
                reach("folded")
            if storing:
                await storing
            storing = asyncio.create_task(store(event, folded))

    @app.task
    async def commit() -> None:
        """Commits what is done, beside the agent: it need not wait for the answer to go on."""
        while not app.should_stop:
            await finished.wait()
            finished.clear()
            if not await app.consumer.commit():  # False: it joined a commit that began before this batch was done
                await app.consumer.commit()
            reach("committed")

    @app.task
    async def keep_progress() -> None:
        watch(lambda: min(app.consumer.alive, health.moved), settings.worker.stall_seconds)
        await progress.keep(lambda: app.should_stop)

    @app.task
    async def look_out() -> None:
        serve_health(settings.metrics, group, seat_number(seat), meters, health)
        await Lookout(kafka, pipeline, health).keep(lambda: app.consumer, lambda: app.should_stop)

    @app.task
    async def follow() -> None:
        """What is still stored into the table of before does no harm: the new group reads it again."""
        keys = fingerprints(ground.keys)
        while not app.should_stop:
            await asyncio.sleep(FOLLOW_SECONDS)
            with suppress(ClickHouseError, OSError):  # the sink says it when ClickHouse is away
                newest = await asyncio.to_thread(number_in_force, ground.client)
                if newest != generation.number:
                    leave(EXIT_RESTART, f"a rebuild has put generation {newest} in force, and this worker fills "
                                        f"generation {generation.number}; nothing is lost, start it again")  # fmt: skip
                if await asyncio.to_thread(stored_fingerprints, ground.client) != keys:
                    leave(EXIT_RESTART, "another pseudonym key begins, and this worker has those of before; nothing is "
                                        "lost, start it again with the new one")  # fmt: skip

    @app.on_before_shutdown.connect
    async def before_shutdown(app: Any, **_: Any) -> None:
        reach("shutdown")
        await progress.store()
        await pipeline.stop()
        log.info(
            "events %d, rows written %d, set aside %d", pipeline.events, pipeline.rows_written, pipeline.refused,
            extra={"events": pipeline.events, "rows": pipeline.rows_written, "set_aside": pipeline.refused},
        )  # fmt: skip

    if drain:

        @app.task
        async def end_when_drained() -> None:
            await drained(kafka, group, floor)
            os.kill(os.getpid(), signal.SIGTERM)

    return app


@contextmanager
def ending(batch: Batch) -> Iterator[None]:
    """Ends the process for whatever keeps a batch from being stored: it is read again by the next one.

    An agent that raises would be restarted by Faust behind its batch.
    """
    try:
        yield
    except RollcallError as error:
        leave(EXIT_RESTART if error.exit_code == OutOfReach.exit_code else error.exit_code, str(error))
    except Exception:
        log.exception("partition %d, offsets %d to %d", batch.partition.partition, batch.first, batch.last)
        leave(EXIT_RESTART, "a fault of Rollcall's own; nothing is lost, start it again and report the above")


def run(settings: Settings, *, drain: bool = False) -> int:
    """A worker's life, from the checks to the exit code. Blocks; SIGTERM and SIGINT end it cleanly.

    Raises RollcallError when it cannot begin. Later faults end the process from within (`watchdog.leave`).
    """
    ground = prepare(settings)
    app = make_app(settings, ground, drain=drain)
    reach("start")
    worker = faust.Worker(app, loglevel="WARNING", quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None  # it writes escapes to standard output
    stop = worker._schedule_shutdown

    def bounded(sig: Any) -> None:  # Faust sets no bound of its own on its shutdown
        timer = threading.Timer(STOP_SECONDS, leave, [EXIT_RESTART, f"did not stop within {STOP_SECONDS:.0f} s"])
        timer.daemon = True
        timer.start()
        stop(sig)

    worker._schedule_shutdown = bounded
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        code = int(end.code or 0) if not isinstance(end.code, str) else EXIT_RESTART
    else:
        code = 0
    reach("leaving")
    with suppress(RollcallError):  # a static member does not leave by itself: its partitions would wait for 20 s
        give_up_seat(settings.kafka, ground.generation.group(settings.kafka), app.conf.consumer_group_instance_id)
    return code


def tame_logging(settings: LogSettings) -> None:
    """One line a fact on standard error; Faust's and aiokafka's own noise is held back."""
    logs.set_up(settings)
    stamina.instrumentation.set_on_retry_hooks([])  # the sink says it in one line


def _credentials(kafka: KafkaSettings) -> Any:
    context: ssl.SSLContext | None = tls_context(kafka) if kafka.security in ("SSL", "SASL_SSL") else None
    if kafka.security in ("SASL_SSL", "SASL_PLAINTEXT"):
        options = aiokafka_options(kafka)
        return faust.SASLCredentials(
            username=options["sasl_plain_username"], password=options["sasl_plain_password"],
            mechanism=kafka.sasl_mechanism, ssl_context=context,
        )  # fmt: skip
    return faust.SSLCredentials(context=context) if context else None
