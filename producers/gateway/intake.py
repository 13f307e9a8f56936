"""Takes events until they are safe. Requests that come while others are under way travel together: a round.

A round is carried to Kafka as packed records, or, when Kafka does not acknowledge in time, to the spool as one frame
with one fsync. Every request of it is answered with where its events are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from infra.errors import RollcallError
from producers.gateway.spool import SpoolFull
from schemas.quarantine import Refusal

Stored = Literal["kafka", "spool"]
Events = Sequence[tuple[bytes, str]]

ROUND_EVENTS: Final = 5_000
ROUNDS: Final = 2
"""Under way at once. What comes meanwhile gathers, so rounds grow with the load."""
GATHER_SECONDS: Final = 0.02
"""From one round's start to the next's, if that is not full: a round costs some 2 ms, however small it is."""
log = logging.getLogger("rollcall.gateway")


class Unavailable(Exception):
    """Neither Kafka nor the spool has the events: the sender keeps them and comes back."""


class Way(Protocol):
    """The part of Link that an intake needs."""

    up: bool

    def send(self, events: Events, done: Callable[[Exception | None], None]) -> None: ...
    def failed(self, why: str) -> None: ...


class Store(Protocol):
    """The part of Spool that an intake needs."""

    def append(self, payload: bytes) -> None: ...


@dataclass(slots=True)
class _Round:
    events: list[tuple[bytes, str]] = field(default_factory=list)
    waiters: list[asyncio.Future[Stored]] = field(default_factory=list)


class Intake:
    """Used from one event loop. `answer_seconds`: without Kafka's answer for so long, a round goes to the spool."""

    def __init__(self, link: Way, spool: Store, answer_seconds: float) -> None:
        self._link, self._spool, self._answer_seconds = link, spool, answer_seconds
        self._gathering: list[_Round] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._begun = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._sender = ThreadPoolExecutor(1, "sender")
        self._writer = ThreadPoolExecutor(1, "spool")

    async def take(self, events: Events) -> Stored:
        """Returns where the events are, once they are safe there. Raises Unavailable when they are nowhere."""
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        if not self._gathering or len(self._gathering[-1].events) + len(events) > ROUND_EVENTS:
            self._gathering.append(_Round())
        self._gathering[-1].events += events
        self._gathering[-1].waiters.append(stored)
        self._begin()
        return await stored

    def close(self) -> None:
        """When no request waits any more."""
        self._sender.shutdown()
        self._writer.shutdown()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        while self._gathering and len(self._under_way) < ROUNDS:
            full = len(self._gathering) > 1
            if not full and (wait := self._begun + GATHER_SECONDS - loop.time()) > 0:
                if self._timer is None:
                    self._timer = loop.call_later(wait, self._gathered)
                return
            self._begun = loop.time()
            task = loop.create_task(self._carry(self._gathering.pop(0)))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _gathered(self) -> None:
        self._timer = None
        self._begin()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._begin()

    async def _carry(self, round: _Round) -> None:
        try:
            stored: Stored = "kafka"
            if not (self._link.up and await self._to_kafka(round.events)):
                payload = b"[" + b",".join(event for event, _ in round.events) + b"]"
                await asyncio.get_running_loop().run_in_executor(self._writer, self._spool.append, payload)
                stored = "spool"
        except SpoolFull as error:
            _fail(round, str(error))
        except Exception:
            log.exception("a round of %d events is neither in Kafka nor in the spool", len(round.events))
            _fail(round, "a fault of the gateway")
        except BaseException:  # the loop is ending
            _fail(round, "the gateway is ending")
            raise
        else:
            for waiter in round.waiters:
                if not waiter.done():
                    waiter.set_result(stored)

    async def _to_kafka(self, events: Events) -> bool:
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[Exception | None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if not settled.done():
                settled.set_result(error)

        def done(error: Exception | None) -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(settle, error)

        try:
            await loop.run_in_executor(self._sender, self._link.send, events, done)
            error = await asyncio.wait_for(settled, self._answer_seconds + 1)
        except TimeoutError:
            self._link.failed(f"Kafka did not acknowledge in {self._answer_seconds:.0f} seconds")
            return False
        except (RollcallError, Refusal) as refused:
            self._link.failed(str(refused))
            return False
        if error is not None:
            self._link.failed(f"Kafka did not acknowledge: {type(error).__name__}: {str(error)[:200]}")
        return error is None


def _fail(round: _Round, why: str) -> None:
    for waiter in round.waiters:
        if not waiter.done():
            waiter.set_exception(Unavailable(why))
