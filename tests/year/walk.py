"""The walk: every hour of the year, what arrived, what people did, and what the month end did about it.

Every hour is planned in this process. Where something is due, a command is killed with -9 somewhere in the middle, and
run again for the rest; now and then this process does the same at the same time.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from stream_jobs.month_close.unattended.outcome import Outcome
from stream_jobs.month_close.unattended.run import MonthEnd
from tests.year.commands import KILLED, Commands
from tests.year.people import People, Plan
from tests.year.provider import BEGIN, END, Arrival
from tests.year.world import World

HOUR = timedelta(hours=1)
KILL_WITHIN = 1.2
"""Seconds: a command that closes, drafts, approves and sends takes about so long."""
Act = Callable[[datetime], None]


@dataclass
class Journal:
    """What happened, for the test to look at."""

    hours: int = 0
    busy: int = 0
    killed: int = 0
    in_doubt: int = 0
    overdue: set[tuple[str, str]] = field(default_factory=set)
    """(agreement, month) that the command called overdue, with exit code 1."""
    steps: Counter[str] = field(default_factory=Counter)


class Walk:
    def __init__(
        self, world: World, month_end: MonthEnd, commands: Commands, people: People, plan: Plan, rng: random.Random
    ) -> None:
        self._world, self._month_end, self._commands = world, month_end, commands
        self._people, self._rng = people, rng
        self._acts: dict[datetime, list[Act]] = defaultdict(list)
        for hour, act in people.acts(plan):
            self._acts[hour].append(act)
        self.journal = Journal()

    def go(self, arrivals: Iterable[Arrival]) -> None:
        coming: dict[datetime, list[Arrival]] = defaultdict(list)
        for arrival in arrivals:
            coming[arrival.hour].append(arrival)
        hour = BEGIN
        while hour < END:
            for arrival in coming.pop(hour, ()):
                self._arrive(arrival)
            for act in self._acts.pop(hour, ()):
                act(hour)
                self._month_end.look()
            self._hour(hour)
            hour += HOUR
        assert not coming
        assert not self._acts

    def _arrive(self, arrival: Arrival) -> None:
        self._world.push(arrival.logins)
        if arrival.behind:  # a close waits for the worker; what comes behind it is seen when it is stored
            self._world.wait()
            self._month_end.look()

    def _hour(self, hour: datetime) -> None:
        journal = self.journal
        journal.hours += 1
        due = self._month_end.run(hour, dry_run=True)
        if not due.done:
            return
        journal.busy += 1
        journal.steps.update(said.step for said in due.done)
        arguments = ("month-end", "--at", hour.isoformat(), "--format", "json")
        if self._rng.random() < 0.7:
            ran = self._commands.run(*arguments, kill_after=self._rng.uniform(0.01, KILL_WITHIN))
            journal.killed += ran.code == KILLED
            assert ran.code in (0, 1, KILLED), ran.err
            self._month_end.look()
        with ThreadPoolExecutor(1) as other:
            running = other.submit(self._commands.run, *arguments)
            if journal.busy % 4 == 0:  # two at once
                outcome = self._month_end.run(hour)
                assert not outcome.failed, outcome.failed
            ran = running.result()
        assert ran.code == ran.line["exit"], ran.err
        assert ran.line["failed"] == [], ran.err
        self._month_end.look()
        again = self._month_end.run(hour)
        assert (again.done, again.failed) == ([], []), "nothing is done twice"
        self._after(hour, again)

    def _after(self, hour: datetime, outcome: Outcome) -> None:
        for said in outcome.overdue:
            assert outcome.exit == 1
            self.journal.overdue.add((said.agreement, said.month))
        for said in outcome.needed:
            if "may have arrived" in said.note:  # the kill fell into the sending of a mail: a person asks
                self.journal.in_doubt += 1
                month = date.fromisoformat(f"{said.month}-01")
                self._acts[hour + HOUR].append(lambda at, a=said.agreement, m=month: self._people.resolve(at, a, m))  # type: ignore[misc]
