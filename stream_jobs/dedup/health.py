"""Health by progress, not by pulse: whether a worker is live, ready, or stuck. Pure; clock and looks come in.

Nothing has to beat. A worker is well while what waits to be stored gets stored; one that has nothing to do is well
too. One that hangs says nothing more, and silence counts as standing still.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

ANSWER_SECONDS = 30.0
"""A log whose end was not told for so long does not answer."""


@dataclass(frozen=True)
class Look:
    """One partition at one moment. Offsets are those of the next record.

    `stored`: everything below is stored; `read`: the client has gone so far, past what holds no records too; `end`: of
    the log. None: not known. `oldest`: append time (epoch seconds) of the oldest record in hand, None with none.
    """

    partition: int
    stored: int | None
    read: int | None
    end: int | None
    oldest: float | None = None

    @property
    def behind(self) -> bool:
        """Something waits: in hand, or in the log. What holds no records (a transaction's mark) is not waited for."""
        return self.oldest is not None or (self.read is not None and self.end is not None and self.read < self.end)

    @property
    def lag(self) -> int:
        """Records that are not stored yet, as far as it is known."""
        known = [offset for offset in (self.end, self.read) if offset is not None]
        return max(0, max(known) - self.stored) if self.behind and self.stored is not None and known else 0


@dataclass(frozen=True)
class Verdict:
    """`why` has a sentence for each thing that is not well."""

    live: bool
    ready: bool
    stuck: bool
    why: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


class Health:
    """Fed with looks by the worker's own loop; judged from anywhere. Seconds are `clock`'s."""

    def __init__(
        self, stuck_seconds: float, stall_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stuck_seconds, self._stall_seconds, self._clock = stuck_seconds, stall_seconds, clock
        self.moved = self._answered = clock()
        """When something was last stored or read, or there was nothing to do."""
        self._joined = self._ending = False
        self._looks: tuple[Look, ...] = ()
        self._furthest: dict[int, tuple[int, int]] = {}
        """By partition, how far it was stored and read, whoever had it meanwhile."""

    def looked(self, looks: Iterable[Look], *, joined: bool, answered: bool) -> None:
        """What was seen now. `joined`: the group has given this worker its partitions, be they none; `answered`: Kafka
        has told the log's ends just now: without that, what is not in hand is not known to wait."""
        before = self._looks
        self._looks, self._joined = tuple(looks), joined
        now = self._clock()
        if answered:
            self._answered = now
        waits = any(look.oldest is not None or (answered and look.behind) for look in self._looks)
        moved = [look for look in self._looks if self._gets_on(look)]  # of each: it remembers
        stands_by = not self._looks and not before  # between two assignments there is nothing for a moment, too
        if moved or stands_by or (self._looks and not waits):
            self.moved = now

    def _gets_on(self, look: Look) -> bool:
        """Whether a partition was stored or read further than ever. To be assigned anew is no progress; to begin
        further back is: somebody has set it back."""
        if look.stored is None:
            return False
        stored, read = look.stored, look.read or 0
        known = self._furthest.get(look.partition)
        if known is None or stored < known[0]:
            self._furthest[look.partition] = stored, read
            return True
        self._furthest[look.partition] = stored, max(read, known[1])
        return stored > known[0] or read > known[1]

    def unseen(self) -> None:
        """It could not be seen how it stands: then nothing is said to be stuck."""
        self.moved = self._clock()

    def still(self) -> float:
        """Seconds since something last moved, or there was nothing to do."""
        return self._clock() - self.moved

    def ending(self) -> None:
        """It was asked to end: no longer ready."""
        self._ending = True

    def judge(self) -> Verdict:
        """From any thread."""
        now, looks = self._clock(), self._looks
        still, unheard = now - self.moved, now - self._answered
        lag, stuck = sum(look.lag for look in looks), still > self._stuck_seconds
        why = []
        if stuck:
            why.append(f"nothing has moved for {still:.0f} s, and {lag or 'some'} records wait to be stored")
        if self._ending:
            why.append("it was asked to end")
        if not self._joined:
            why.append("the consumer group has not given it partitions yet")
        if placeless := [look.partition for look in looks if look.read is None]:
            why.append(f"its place in partitions {', '.join(map(str, placeless))} is not known yet")
        if unheard > ANSWER_SECONDS:
            why.append(f"Kafka has not told the log's end for {unheard:.0f} s")
        return Verdict(
            live=still <= self._stall_seconds, ready=not why, stuck=stuck, why=tuple(why),
            facts={
                "partitions": [look.partition for look in looks], "lag_records": lag,
                "seconds_since_progress": round(still, 1),
            },
        )  # fmt: skip
