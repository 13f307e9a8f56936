"""A plan, run in small: partitions, workers with the real cache, what ClickHouse takes, and a day's outage.

Some thousand users stand for all; each of their events stands for `scale` and costs so much time, and caches and
ClickHouse's rows a second are smaller by as much. What the arithmetic takes for granted happens here: users land on
partitions by chance, caches forget, a backlog is worked off while new events come.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Final, NamedTuple

from bench.planning import (
    ACTIVE_SHARE,
    CPU_PER_ROW,
    DAY,
    EVENTS_PER_SECOND,
    INSERT_SECONDS,
    INSERTS_PER_SECOND,
    ROWS_PER_SECOND,
    SKUS_PER_USER,
    Plan,
    number,
    share,
    span,
    table,
)
from stream_jobs.dedup.cache import Cache, Slot, mark

USERS: Final = 4_000
DAYS: Final = 3
OUTAGE: Final = 1
"""The day (from 0 on) on which no worker runs."""
STEP: Final = 20
"""Seconds. What is told of the backlog is as exact as that."""
BATCH: Final = 40_000
_HOURS: Final = range(24)
_FIRST_US: Final = 0


class Login(NamedTuple):
    at: float
    user: int
    sku: int


@dataclass
class Outcome:
    """`rows` and `due` by day, for all users; `busy`: of the fullest worker's time in a peak hour; times in seconds."""

    rows: list[float]
    due: list[float]
    busy: float = 0.0
    rows_a_second: float = 0.0
    longest_wait: float = 0.0
    caught_up: float = 0.0


@dataclass
class _Worker:
    partitions: list[int]
    cache: Cache
    slots: list[Slot] = field(default_factory=list)
    busy: float = 0.0

    def begin(self, entries: int) -> None:
        """It starts with an empty cache."""
        self.cache = Cache(entries)
        self.slots = [self.cache.slot(date(2026, 10, 1), "t", str(sku), True) for sku in range(2)]


def day(rng: random.Random, number: int, logins_a_user: float) -> list[Login]:
    """A working day's logins in order; whoever is active logs in at least once."""
    found: list[Login] = []
    for user in rng.sample(range(USERS), round(USERS * ACTIVE_SHARE)):
        times = max(1, int(logins_a_user) + (rng.random() < logins_a_user % 1))
        for hour in rng.choices(_HOURS, DAY, k=times):
            sku = rng.randrange(2) if user % 10 < round(10 * (SKUS_PER_USER - 1)) else 0
            found.append(Login(number * 86_400 + hour * 3600 + rng.random() * 3600, user, sku))
    return sorted(found)


@cache
def stream(logins_a_user: float, seed: int) -> list[list[Login]]:
    rng = random.Random(seed)
    return [day(rng, number, logins_a_user) for number in range(DAYS)]


@cache
def run(plan: Plan, seed: int = 1) -> Outcome:
    """What comes of a plan; the same for the same seed."""
    rng = random.Random(seed)
    scale = plan.site.users / USERS
    homes = [rng.randrange(plan.partitions) for _ in range(USERS)]
    days = stream(plan.site.logins / plan.site.users / ACTIVE_SHARE, seed)
    due = [len({(login.user, login.sku) for login in logins}) * scale for logins in days]
    outcome = Outcome([0.0] * DAYS, due)
    coming = deque(login for logins in days for login in logins)
    log: list[deque[Login]] = [deque() for _ in range(plan.partitions)]
    entries = max(2, round(plan.cache_entries / scale))
    workers = [
        _Worker([p for p in range(plan.partitions) if p % plan.workers == w], Cache(1)) for w in range(plan.workers)
    ]
    back = (OUTAGE + 1) * 86_400
    for worker in workers:
        worker.begin(entries)
    peak = DAY.index(max(DAY))
    hour_rows = 0.0
    for time in range(0, DAYS * 86_400, STEP):
        if time % 3600 == 0:
            outcome.rows_a_second = max(outcome.rows_a_second, hour_rows / 3600)
            hour_rows = 0.0
            for worker in workers:
                if time // 3600 % 24 == peak + 1 and time < back:
                    outcome.busy = max(outcome.busy, worker.busy / 3600)
                worker.busy = 0.0
        while coming and coming[0].at < time + STEP:
            login = coming.popleft()
            log[homes[login.user]].append(login)
        if OUTAGE * 86_400 <= time < back:
            continue
        if time == back:
            for worker in workers:
                worker.begin(entries)
        elif not any(log) and (time < back or outcome.caught_up):
            continue
        room = ROWS_PER_SECOND * STEP / scale
        inserts = float(INSERTS_PER_SECOND * STEP)
        for n in range(plan.workers):  # another one begins each time: none has the first choice of ClickHouse's room
            worker = workers[(time // STEP + n) % plan.workers]
            if not any(log[p] for p in worker.partitions):
                continue
            rows, used = _work(worker, log, scale, room, inserts, outcome)
            room, inserts, hour_rows = room - rows, inserts - used, hour_rows + rows * scale
        oldest = min((queue[0].at for queue in log if queue), default=None)
        if time < OUTAGE * 86_400 and oldest is not None:
            outcome.longest_wait = max(outcome.longest_wait, time + STEP - oldest)
        if time >= back and not outcome.caught_up and (oldest is None or oldest >= time):
            outcome.caught_up = time + STEP - back
    return outcome


def _work(
    worker: _Worker, log: list[deque[Login]], scale: float, room: float, inserts: float, outcome: Outcome
) -> tuple[float, float]:
    """One worker, for one step: rows and inserts that it used."""
    time, rows, used = float(STEP), 0.0, 0.0
    waiting = [log[p] for p in worker.partitions if log[p]]
    while waiting and time > 0 and used < inserts and rows < room:
        for queue in list(waiting):
            # A batch. The last event may reach beyond the step: less than `scale` events' time.
            most = max(1, round(BATCH / scale))
            new = 0
            while queue and most and time > 0 and rows < room:
                login = queue.popleft()
                most -= 1
                time -= scale / EVENTS_PER_SECOND
                slot, subject = worker.slots[login.sku], str(login.user)
                on = int(login.at // 86_400)
                known = worker.cache.recall(slot, subject)
                if known is None or not known & 1 << on:
                    worker.cache.learn(slot, subject, mark(slot.origin, _FIRST_US, 1 << on), 0)
                    outcome.rows[on] += scale
                    rows, new = rows + 1, new + 1
                    time -= scale * CPU_PER_ROW
            if new:
                used += 1
                time -= INSERT_SECONDS
            if not queue:
                waiting.remove(queue)
            if time <= 0 or used >= inserts or rows >= room:
                break
    worker.busy += STEP - max(0.0, time)
    return rows, used


def smaller_caches(plan: Plan) -> str:
    """The third table: the same site with fewer workers, and with caches that do not hold a day's rows."""
    plans = [
        plan,
        replace(plan, workers=2, partitions=4),
        replace(plan, workers=2, partitions=4, cache_entries=1_000_000),
    ]  # fmt: skip
    outcomes = [run(plan) for plan in plans]
    rows = [
        ("cache of each worker, rows", [number(p.cache_entries) for p in plans]),
        ("rows written per user, SKU and day", [f"{o.rows[0] / o.due[0]:.2f}" for o in outcomes]),
        ("rows a second, in the fullest hour", [f"{o.rows_a_second:,.0f}" for o in outcomes]),
        ("the fullest worker's load in the peak hour", [share(o.busy) for o in outcomes]),
        ("caught up after a day's outage", [span(o.caught_up) for o in outcomes]),
    ]
    return table([f"{p.workers} workers" for p in plans], rows)


def simulated(plans: list[Plan]) -> str:
    """The second table: what came of each plan, beside what was planned."""
    outcomes = [run(plan) for plan in plans]
    rows = [
        ("rows written a day, of those planned", [
            share(o.rows[0] / p.site.rows_a_day) for p, o in zip(plans, outcomes, strict=True)
        ]),
        ("rows written per user, SKU and day", [f"{o.rows[0] / o.due[0]:.3f}" for o in outcomes]),
        ("the fullest worker's load in the peak hour", [share(o.busy) for o in outcomes]),
        ("longest wait on a day without outage", [f"below {STEP + o.longest_wait:.0f} s" for o in outcomes]),
        ("caught up after a day's outage", [span(o.caught_up) for o in outcomes]),
        ("rows a second, in the fullest hour", [f"{o.rows_a_second:,.0f}" for o in outcomes]),
    ]  # fmt: skip
    return table([p.site.name for p in plans], rows)
