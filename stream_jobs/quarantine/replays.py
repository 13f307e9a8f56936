"""Sending quarantined events round again.

An event's bytes go into `logins` once more, with its origin and the next number; the worker that meets them counts
the event in its own month, or sets it aside under that number. An event is `replayed` only after Kafka has it, and
every state is a join, so a crash in the middle is cured by running it again: what is sent twice under one number
changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, OutOfReach
from infra.kafka.connection import addresses, kafka_python_options
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
                sender.send(kept)
                if sender.is_full():
                    sender.settle()
                    tell(f"{sender.sent:,} of {chosen:,} sent round again")
            if not wanted:
                break
        sender.settle()
    return ReplayReport(sender.sent, tuple(sorted(wanted)), tuple(sender.too_large), controls)


class _Sender:
    """Sends into `logins`; `settle` waits for Kafka's acknowledgement, then stores the state."""

    def __init__(self, settings: Settings, client: Client) -> None:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        self.sent, self.too_large = 0, list[Origin]()
        self._settings, self._client = settings, client
        self._partitions = describe(settings).partitions
        self._under_way: list[tuple[Kept, Any]] = []
        self._bytes = 0
        try:
            # What came compressed may be larger than the topic's limit, and goes back as it came: compressed.
            self._kafka = KafkaProducer(
                **kafka_python_options(settings.kafka), client_id="rollcall-quarantine", acks="all",
                enable_idempotence=True, compression_type="gzip", max_request_size=MAX_REQUEST,
                allow_auto_create_topics=False, max_block_ms=10_000, request_timeout_ms=15_000,
                delivery_timeout_ms=int(ACKNOWLEDGED_SECONDS * 1000),
            )  # fmt: skip
        except KafkaError as error:
            raise self._unsent(0, error) from None

    def send(self, kept: Kept) -> None:
        next_replay, headers, _ = round_again(kept)
        future = self._kafka.send(
            self._settings.kafka.topic, kept.value, headers=headers,
            partition=next_replay.origin.partition % self._partitions,
        )
        self._under_way.append((kept, future))
        self._bytes += len(kept.value)

    def is_full(self) -> bool:
        return len(self._under_way) >= CHUNK_EVENTS or self._bytes >= CHUNK_BYTES

    def settle(self) -> None:
        """Raises OutOfReach when Kafka did not take them all; what it took is stored as replayed even so."""
        from kafka.errors import KafkaError, MessageSizeTooLargeError

        rows: list[tuple[Any, ...]] = []
        failed: list[Exception] = []
        for kept, future in self._under_way:
            try:
                future.get(timeout=ACKNOWLEDGED_SECONDS)
            except MessageSizeTooLargeError:
                self.too_large.append(kept.origin)
            except (KafkaError, OSError) as error:
                failed.append(error)
            else:
                rows.append((*kept.origin, round_again(kept)[2], kept.append_time))
        self._under_way, self._bytes = [], 0
        if rows:
            with explained(self._settings.clickhouse):
                self._client.insert("quarantine", rows, COLUMNS)
            self.sent += len(rows)
        if failed:
            raise self._unsent(len(failed), failed[0])

    def close(self) -> None:
        self._kafka.close(timeout=5)

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
