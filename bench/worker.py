"""The worker beside its peers: every contender reads the same records, in shuffled order, round by round.

A result is checked against the planted truth before it gives a figure, in the warm-up too. A contender that fails, or
counts wrongly, is left out from there on, and the table says why. Machines are noisy: medians and spread are shown, and
the ratios are what counts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from bench.budget import Budget
from bench.environments import Unavailable
from bench.events import events, users_of
from bench.figures import Figures, Truth, spread
from bench.peers import CONTENDERS, ROLLCALL, Contender, run
from bench.picture import Bar, Chart
from bench.report import Section
from bench.stack import fill, fresh_name, own
from infra.errors import RollcallError
from schemas.settings import Settings

COLUMNS = (
    "already counted", "partitions", "records", "events", "contender", "rounds", "events/s", "spread", "of the loop",
    "CPU s/million", "ClickHouse CPU s/million", "what it does less than Rollcall",
)  # fmt: skip
SWEEP = tuple((counted, 4) for counted in (0.0, 0.5, 0.99)) + tuple((0.95, partitions) for partitions in (1, 16))
SWEPT = tuple(contender for contender in CONTENDERS if contender.module in ("rollcall", "loop", "clickhouse"))


class Scenario(NamedTuple):
    events: int
    counted: float
    partitions: int
    pack: int

    @property
    def name(self) -> str:
        records = "one event a record" if self.pack == 1 else f"packed by {self.pack}"
        partitions = "1 partition" if self.partitions == 1 else f"{self.partitions} partitions"
        return f"{self.counted:.0%} already counted, {partitions}, {records}"


def worker(
    stack: Settings, scenarios: Iterable[Scenario], rounds: int, contenders: Sequence[Contender], budget: Budget,
    tell: Callable[[str], None], title: str, warm_up: bool = True,
) -> Section:  # fmt: skip
    """A table of all scenarios; those for which no time is left are named below it."""
    section = Section(title, COLUMNS, figures=[])
    needed = 0.0
    for scenario in scenarios:
        if not budget.left(needed):
            section.notes.append(f"No time was left for: {scenario.name}.")
            continue
        begun = time.monotonic()
        found = measure(stack, scenario, rounds, contenders, budget, tell, warm_up)
        needed = time.monotonic() - begun
        show(section, scenario, found)
    _stream.cache_clear()
    return section


def sweep(count: int, packs: Sequence[int]) -> list[Scenario]:
    """Other shares of repeats, and other numbers of partitions."""
    return [Scenario(count, counted, partitions, pack) for pack, (counted, partitions) in product(packs, SWEEP)]


def measure(
    stack: Settings, scenario: Scenario, rounds: int, contenders: Sequence[Contender], budget: Budget,
    tell: Callable[[str], None], warm_up: bool = True,
) -> dict[str, Figures]:  # fmt: skip
    """Figures by contender. A round before the first warms up and is not counted; the first is always run."""
    tell(f"{scenario.name}: writing {scenario.events:,} events")
    shares = {contender.name: contender.share if scenario.pack == 1 else 1 for contender in contenders}
    topics = {share: _write(stack, scenario, share) for share in set(shares.values())}
    found = {contender.name: Figures() for contender in contenders}
    longest = 0.0
    for round_ in range(0 if warm_up else 1, rounds + 1):
        if round_ > 1 and not budget.left(longest):
            tell(f"{scenario.name}: no time for more than {round_ - 1} of {rounds} rounds")
            break
        begun = time.monotonic()
        for contender in random.sample(contenders, len(contenders)):
            figures, (settings, truth, lines) = found[contender.name], topics[shares[contender.name]]
            if figures.failed:
                continue
            try:
                if contender is ROLLCALL:  # an empty table and a group of its own each time
                    settings = own(stack, settings.kafka.topic, fresh_name(), scenario.partitions)
                figures.add(run(contender, settings, truth.events, lines), truth, counts=round_ > 0)
            except (RuntimeError, RollcallError, Unavailable) as error:
                figures.failed = str(error)
            if figures.failed:
                tell(f"{contender.name}: {figures.failed}")
        longest = max(longest, time.monotonic() - begun)
        tell(f"{scenario.name}: {'warm-up' if round_ == 0 else f'round {round_} of {rounds}'} done")
    for _, _, lines in topics.values():
        lines.unlink()
    return found


def _write(stack: Settings, scenario: Scenario, share: int) -> tuple[Settings, Truth, Path]:
    """One in `share` of the events, in a topic and in a file of lines, and what must be counted in them."""
    count = scenario.events // share
    stream = _stream(count, scenario.counted) if share == 1 else tuple(events(count, scenario.counted))
    settings = own(stack, fresh_name(), partitions=scenario.partitions)
    fill(settings, stream, scenario.pack)
    lines = stack.home / f"{settings.kafka.topic}.ndjson"
    with lines.open("wb") as file:
        file.writelines(event + b"\n" for _, event in stream)
    return settings, Truth(count, users_of(count, scenario.counted)), lines


@lru_cache(maxsize=1)
def _stream(count: int, counted: float) -> tuple[tuple[str, bytes], ...]:
    return tuple(events(count, counted))


def show(section: Section, scenario: Scenario, found: dict[str, Figures]) -> None:
    lacks = {contender.name: contender.lacks for contender in CONTENDERS}
    shares = {contender.name: contender.share for contender in CONTENDERS if scenario.pack == 1}
    shown = {name: figures for name, figures in found.items() if figures.shown}
    loop = shown.get("loop")
    records = "one event" if scenario.pack == 1 else "packed"
    for name, figures in sorted(found.items(), key=lambda item: -item[1].rate if item[1].shown else 0.0):
        section.figures.append(_figures(scenario, name, figures))
        count = scenario.events // shares.get(name, 1)
        first = [f"{scenario.counted:.0%}", str(scenario.partitions), records, f"{count:,}"]
        if not figures.shown:
            section.rows.append([*first, name, "0", "–", "", "", "", "", f"failed: {figures.failed or 'no round'}"])
            section.failed = section.failed or name == ROLLCALL.name
            continue
        section.rows.append([
            *first, name, str(len(figures.rates)), f"{figures.rate:,.0f}", f"{spread(figures.rates):.0%}",
            f"{figures.rate / loop.rate:.2f}" if loop else "", f"{figures.cpu_median:.2f}",
            f"{figures.server_median:.2f}" if name in (ROLLCALL.name, "ClickHouse") else "", lacks[name],
        ])  # fmt: skip
    ours = shown.get(ROLLCALL.name)
    others = [f"{ours.rate / f.rate:.2f} × {name}" for name, f in shown.items() if f is not ours] if ours else []
    if others:
        section.notes.append(f"{scenario.name}: Rollcall is at {', '.join(others)}.")
    section.charts.append(Chart(scenario.name, [
        Bar(name, f.rate, min(f.rates), max(f.rates), f is ours)
        for name, f in sorted(shown.items(), key=lambda item: -item[1].rate)
    ]))  # fmt: skip


def _figures(scenario: Scenario, name: str, figures: Figures) -> dict[str, Any]:
    found: dict[str, Any] = {**scenario._asdict(), "contender": name, "failed": figures.failed}
    if figures.shown:
        found |= {"rate": figures.rate, "spread": spread(figures.rates), "rates": figures.rates}
        found |= {"cpu": figures.cpu_median, "server_cpu": figures.server_median}
    return found
