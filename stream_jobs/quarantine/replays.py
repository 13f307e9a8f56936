"""Sending quarantined events round again.

An event's bytes go into `logins` once more, with its origin and the next number; the worker that meets them counts
the event in its own month, or sets it aside under that number. An event is `replayed` only after Kafka has it, and
every state is a join, so a crash in the middle is cured by running it again: what is sent twice under one number
changes nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiokafka
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, OutOfReach
from infra.kafka.connection import addresses, aiokafka_options
from infra.kafka.topics import describe
from schemas.quarantine import Origin, State
from schemas.settings import Settings
from stream_jobs.dedup.batch import Headers
from stream_jobs.dedup.replay import Replay, replay_headers
from stream_jobs.quarantine.entries import Selection, listed
from stream_jobs.quarantine.topic import Kept, scan

REPLAYABLE: Final = (State.quarantined, State.waived)
ACKNOWLEDGED_SECONDS: Final = 60.0
CHUNK_EVENTS, CHUNK_BYTES = 1_000, 16 << 20
MAX_REQUEST: Final = 256 << 20
"""The client's own limit; the topic's is what counts, and it looks at compressed bytes."""

COLUMNS: Final = ("topic_id", "partition", "offset", "place", "latest", "append_time")

Latest = tuple[int, int, str, str]
"""The column `latest`: (replay, state, reason, detail); the greatest one holds."""


@dataclass(frozen=True)
class ReplayReport:
    """What became of the selected entries: `sent` are with Kafka; the others stay as they were."""

    sent: int
    missing: tuple[Origin, ...]
    """The topic no longer holds them (retention)."""
    too_large: tuple[Origin, ...]
    """`logins` does not take a record of that size."""
    controls: tuple[Origin, ...]
    """Control records: no events, so they are not sent round again. Waive them."""


def round_again(kept: Kept) -> tuple[Replay, Headers, Latest]:
    """What is sent for an event (its next replay, and the headers), and the state to store once Kafka has it."""
    next_replay = Replay(kept.origin, kept.number + 1)
    latest = (kept.number, int(State.replayed), kept.reason, kept.detail)
    return next_replay, [*kept.headers, *replay_headers(next_replay)], latest


def replay(settings: Settings, client: Client, selection: Selection, tell: Callable[[str], None]) -> ReplayReport:
    """Sends the selected entries round again: those `quarantined` or `waived`, or in the states that it names.

    `replayed` may be named too, and an origin that is: what was sent and never arrived (a topic made anew) is sent
    again under the same number. An entry goes into the partition that it stood in, so its replays stay in order.
    Raises CheckFailed when an origin is named that is no such entry, OutOfReach when a server is; run again, it goes
    on where it was.
    """
    with explained(settings.clickhouse):
        wanted, controls, since = _wanted(client, selection)
    chosen = len(wanted)
    if not wanted:
        return ReplayReport(0, (), (), controls)
    with closing(scan(settings, since)) as topic, closing(_Sender(settings, client)) as sender:
        for kept in topic:
            if wanted.get(kept.origin) == kept.number:
                del wanted[kept.origin]
                if sender.add(kept):
                    sender.settle()
                    tell(f"{sender.sent:,} of {chosen:,} sent round again")
            if not wanted:
                break
        sender.settle()
    return ReplayReport(sender.sent, tuple(sorted(wanted)), tuple(sender.too_large), controls)


class _Sender:
    """Sends into `logins`; `settle` waits for Kafka's acknowledgement, then stores the state.

    With aiokafka, since kafka-python does not send a header without a value.
    """

    def __init__(self, settings: Settings, client: Client) -> None:
        self.sent, self.too_large = 0, list[Origin]()
        self._settings, self._client = settings, client
        self._partitions = describe(settings).partitions
        self._chunk: list[Kept] = []
        self._bytes = 0
        self._loop = asyncio.Runner()
        self._producer: aiokafka.AIOKafkaProducer | None = None

    def add(self, kept: Kept) -> bool:
        """Takes an event; True when it is time to settle."""
        self._chunk.append(kept)
        self._bytes += len(kept.value)
        return len(self._chunk) >= CHUNK_EVENTS or self._bytes >= CHUNK_BYTES

    def settle(self) -> None:
        """Raises OutOfReach when Kafka did not take them all; what it took is stored as replayed even so."""
        chunk, self._chunk, self._bytes = self._chunk, [], 0
        if not chunk:
            return
        try:
            answers = self._loop.run(self._deliver(chunk))
        except (KafkaError, OSError) as error:
            raise self._unsent(len(chunk), error) from None
        taken = [kept for kept, answer in zip(chunk, answers, strict=True) if answer is None]
        if taken:
            rows = [(*kept.origin, round_again(kept)[2], kept.append_time) for kept in taken]
            with explained(self._settings.clickhouse):
                self._client.insert("quarantine", rows, COLUMNS)
            self.sent += len(taken)
        failed = []
        for kept, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, MessageSizeTooLargeError):
                self.too_large.append(kept.origin)
            elif answer is not None:
                failed.append(answer)
        if failed:
            raise self._unsent(len(failed), failed[0])

    def close(self) -> None:
        try:
            if self._producer is not None:
                self._loop.run(self._producer.stop())
        finally:
            self._loop.close()

    async def _deliver(self, chunk: list[Kept]) -> list[KafkaError | None]:
        """What Kafka answered for each; None: every in-sync replica has it."""
        if self._producer is None:
            # What came compressed may be larger than the topic's limit, and goes back as it came: compressed.
            self._producer = aiokafka.AIOKafkaProducer(
                **aiokafka_options(self._settings.kafka), client_id="rollcall-quarantine", acks="all",
                enable_idempotence=True, compression_type="gzip", max_request_size=MAX_REQUEST,
            )  # fmt: skip
            await self._producer.start()
        sends = [self._send(self._producer, kept) for kept in chunk]
        return await asyncio.wait_for(asyncio.gather(*sends), ACKNOWLEDGED_SECONDS)

    async def _send(self, producer: aiokafka.AIOKafkaProducer, kept: Kept) -> KafkaError | None:
        next_replay, headers, _ = round_again(kept)
        try:
            await producer.send_and_wait(
                self._settings.kafka.topic, kept.value, headers=headers,
                partition=next_replay.origin.partition % self._partitions,
            )
        except KafkaError as error:
            return error
        return None

    def _unsent(self, count: int, error: Exception) -> OutOfReach:
        return OutOfReach(
            f"Kafka at {','.join(addresses(self._settings.kafka))} did not acknowledge ({type(error).__name__}: "
            f"{str(error)[:200]}): {self.sent:,} events were sent round again, {count:,} of the next ones perhaps; "
            f"run the command again when it answers: what is sent twice counts once"
        )


def _wanted(client: Client, selection: Selection) -> tuple[dict[Origin, int], tuple[Origin, ...], datetime]:
    """The number under which each selected event was last set aside; the selected control records; and when the first
    of the events was appended."""
    states = selection.states
    if states is None:
        states = (*REPLAYABLE, State.replayed) if selection.origins else REPLAYABLE
    if State.counted in states:
        raise CheckFailed("what is counted is not sent round again: select by another state")
    wanted: dict[Origin, int] = {}
    controls: list[Origin] = []
    since = datetime.now(UTC)
    for entry in listed(client, dataclasses.replace(selection, states=states)):
        if entry.reason == "bad_control":
            controls.append(entry.origin)
        else:
            wanted[entry.origin] = entry.replay
            since = min(since, entry.append_time)
    if strange := [origin for origin in selection.origins if origin not in wanted]:
        raise CheckFailed(
            f"nothing was sent: {', '.join(map(str, strange))} is no event that waits in the quarantine; "
            f"`rollcall quarantine list` has those"
        )
    return wanted, tuple(controls), since
