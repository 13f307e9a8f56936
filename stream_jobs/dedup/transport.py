"""Faust, fed by the batch: one Faust message carries what one fetch returned for one partition (decision 3).

Stock Faust spends some 125 µs a record on tasks and acknowledgements; here that is spent once a batch. Commits follow
`commits.Ledger` alone. Where a line would look odd, the comment says what was seen of Faust on a real broker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import faust
from aiokafka.consumer import fetcher
from faust.transport.drivers import aiokafka as driver

from stream_jobs.dedup.batch import Batch, Partition
from stream_jobs.dedup.commits import Entry, Ledger
from stream_jobs.dedup.failpoints import reach
from stream_jobs.dedup.watchdog import leave

log = logging.getLogger("rollcall.worker")

FETCH_MAX_BYTES, FETCH_MAX_WAIT_MS = 16 << 20, 250


class _Folded:
    """The attributes that the driver reads of a fetched record, for a batch as a whole."""

    headers: tuple[()] = ()
    key = checksum = None
    serialized_key_size = serialized_value_size = 0

    def __init__(self, batch: Batch) -> None:
        last = batch.records[-1]
        self.topic, self.partition, self.offset = batch.partition.topic, batch.partition.partition, batch.last
        self.timestamp, self.timestamp_type, self.value = last.timestamp, 1, batch


class _BareRecords(fetcher.PartitionRecords):
    """Hands on aiokafka's compiled records as they are, without a ConsumerRecord around each."""

    def __iter__(self) -> Any:
        return self._records_iterator  # a generator: without a Python call around each record

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust does not expose these; AIOKafkaConsumer.start() hands them to its fetcher.
        consumer._fetch_max_bytes, consumer._fetch_max_wait_ms = FETCH_MAX_BYTES, FETCH_MAX_WAIT_MS
        fetcher.PartitionRecords = _BareRecords
        return consumer


class BatchConsumer(driver.Consumer):
    """Delivers batches in offset order without gaps, and commits what its ledger says."""

    def on_init(self) -> None:
        self.ledger = Ledger()
        self.alive = time.monotonic()
        """When something last moved, or there was nothing to move: what the watchdog looks at."""
        self.placed = False
        """Whether the place of each assigned partition in the log is known."""
        self.assignments = 0
        """Counts rebalances; what was known of a partition's place in the log is stale after one."""
        self._lost: dict[Partition, tuple[int, int]] = {}

    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # Reading

    def on_buffer_full(self, tp: Any) -> None:
        """Stock sleeps a second when all partitions are full; a full queue is back-pressure enough."""

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Stock would count the folded offsets, the one in hand among them, as acknowledged."""

    async def _wait_next_records(self, timeout: float) -> Any:
        result = await super()._wait_next_records(timeout)
        if self.ledger.idle():
            self.alive = time.monotonic()
        return result

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[Any, list[_Folded]]:
        delivered, assignments = {}, self.assignments
        try:
            fetched = await super()._getmany(active_partitions, timeout)
        except UnicodeDecodeError:  # aiokafka decodes headers' names before anybody can look at the record
            at = {str(p): self.ledger.expected(p) for p in self.ledger.partitions()}
            leave(1, f"a record after one of these offsets has a header whose name is not UTF-8, which no Kafka client "
                     f"in Python can read: {at}; move the group's offset past it with Kafka's own tools")  # fmt: skip
        for tp, records in fetched.items():
            partition = Partition(tp.topic, tp.partition)
            expected = self.ledger.expected(partition)
            if expected is not None and records[0].offset < expected:  # part of it is under way already
                records = [record for record in records if record.offset >= expected]
            if records and await self._in_order(partition, expected, records[0].offset):
                if assignments != self.assignments or expected != self.ledger.expected(partition):
                    return {}  # a rebalance came in between: all of it is read again
                batch = Batch(partition, records, self.highwater(tp) or 0)
                self.ledger.enter(batch)
                delivered[faust.types.TP(*partition)] = [_Folded(batch)]
        return delivered

    async def _in_order(self, partition: Partition, expected: int | None, first: int) -> bool:
        entry = self.ledger.judge(partition, first)
        if entry is Entry.read_again:
            log.warning("%s: expected offset %s, got %d: reading again", partition, expected, first)
            await self.seek_wait({faust.types.TP(*partition): expected})
            return False
        if entry is Entry.deliver_after_hole:
            tp = faust.types.TP(*partition)
            if expected is not None and (await self.earliest_offsets(tp))[tp] > expected:
                self._lose(partition, expected, first)
            else:  # such as a transaction's own records
                log.warning("%s: offsets %s to %d hold no records", partition, expected, first - 1)
        return True

    def _lose(self, partition: Partition, expected: int, found: int) -> None:
        log.error("%s: offsets %d to %d left the log before they were read", partition, expected, found - 1)
        self._lost[partition] = (min(expected, self._lost.get(partition, (expected, 0))[0]), found)

    def take_lost(self, batch: Batch) -> tuple[int, int] | None:
        """The offset that was expected and the one that was found instead, if this batch is the first behind a loss.

        It must be stored before the batch is done: it is told once.
        """
        lost = self._lost.get(batch.partition)
        return self._lost.pop(batch.partition) if lost is not None and lost[1] <= batch.first else None

    async def perform_seek(self) -> None:
        """Called once a rebalance, before the flow resumes: everything unfinished is read again."""
        self.ledger.begin({})
        self._lost.clear()
        self.placed = False
        self.assignments += 1
        await super().perform_seek()
        assigned = {Partition(tp.topic, tp.partition): tp for tp in self.assignment()}
        starts = await self.earliest_offsets(*assigned.values()) if assigned else {}
        begins = {}
        for partition, tp in assigned.items():
            committed = self._read_offset[tp]  # None: nothing; `_committed_offset` takes 0 for that
            wanted = max(committed or 0, self.app.floor.get(partition.partition, 0))
            begins[partition] = max(wanted, starts[tp])
            if begins[partition] > wanted and (committed is not None or wanted > 0):
                self._lose(partition, wanted, begins[partition])
        if moved := {assigned[p]: at for p, at in begins.items() if at != self._read_offset[assigned[p]]}:
            await self.seek_wait(moved)
        self.ledger.begin(begins)
        self.placed = True
        reach("assigned")
        self.alive = time.monotonic()
        mine = ", ".join(str(p.partition) for p in sorted(assigned)) or "none"
        log.info("reading %s, partitions %s", next(iter(assigned), Partition("nothing", 0)).topic, mine)

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        reach("revoked")
        await super().on_partitions_revoked(revoked)  # waits for the batch in hand, and commits it
        self.ledger.forget(Partition(tp.topic, tp.partition) for tp in revoked)

    def read_up_to(self, partition: Partition) -> int | None:
        """The offset that is fetched next, also past what holds no records; None while it is not known."""
        subscription = self._thread._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(faust.types.TP(*partition)) if assignment is not None else None
        return state.position if state is not None and state.has_valid_position else None

    # Committing

    def done(self, batch: Batch) -> None:
        """The batch's rows are durable."""
        self.alive = time.monotonic()
        self.ledger.done(batch)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> list[Any]:
        self._acked.clear()  # stock's lists would otherwise grow for ever
        self._acked_index.clear()
        return [
            faust.types.TP(*partition)
            for partition in self.ledger.committable()
            if topics is None or partition in topics or partition.topic in topics
        ]

    def _new_offset(self, tp: Any) -> int | None:
        return self.ledger.committable().get(Partition(tp.topic, tp.partition))


class BatchTransport(driver.Transport):
    Consumer = BatchConsumer


class BatchApp(faust.App):
    floor: Mapping[int, int] = {}
    """By partition, the offset below which nothing is read, whatever is committed (infra/generation.py)."""

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)


class RawCodec(faust.serializers.codecs.Codec):
    """Hands the batch through: there is nothing to decode before the fold."""

    def _loads(self, s: Any) -> Any:
        return s

    def _dumps(self, s: Any) -> Any:
        return s


def settings_of_faust(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Faust's settings under which the commit rule held through `kill -9`; `conf` is put on top."""
    return {
        "store": "memory://",
        "cache": "memory://",
        "web_enabled": False,
        "autodiscover": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 0,  # selects plain round robin
        "consumer_auto_offset_reset": "earliest",
        "consumer_metadata_max_age_ms": 30_000,
        "consumer_max_fetch_size": 8 << 20,
        "stream_buffer_maxsize": 4,
        "stream_wait_empty": True,
        "broker_commit_interval": 1.0,
        "broker_commit_every": 1 << 30,
        "broker_heartbeat_interval": 3.0,
        "broker_request_timeout": 40.0,
        "broker_rebalance_timeout": 60.0,
        # Once a member exceeds it, it leaves the group and silently never returns; the watchdog stands in for it.
        "broker_max_poll_interval": 30 * 86400.0,
        "worker_redirect_stdouts": False,
        **conf,
    }
