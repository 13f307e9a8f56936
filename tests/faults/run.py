"""Rounds from a seeded schedule, in lanes side by side; what was found, as a table by fault."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from infra.errors import RollcallError
from schemas.settings import Settings
from tests.faults.arena import Arena, Round
from tests.faults.fault import Fault, NotHad

Tell = Callable[[str], None]


@dataclass
class Results:
    """What a run found, by fault."""

    rounds: list[Round] = field(default_factory=list)
    failed: list[tuple[str, int, str]] = field(default_factory=list)
    """Fault, seed, and what went wrong: it did not settle, or a check in the round failed."""
    not_had: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.failed and all(each.holds for each in self.rounds)

    def lacking(self, faults: Iterable[Fault]) -> list[str]:
        """Faults that this machine can have, and of which no round was brought to its end."""
        had = {each.fault for each in self.rounds} | self.not_had.keys()
        return sorted({fault.name for fault in faults} - had)

    @property
    def kills(self) -> int:
        return sum(each.kills for each in self.rounds)


def schedule(faults: Iterable[Fault], seed: int, share: float = 1.0) -> list[tuple[Fault, int]]:
    """Every fault's rounds, shuffled; `share` of them, at least one each. The first of each come before all others."""
    rng = Random(seed)
    first, more = list[tuple[Fault, int]](), list[tuple[Fault, int]]()
    for fault in faults:
        first.append((fault, rng.randrange(1 << 30)))
        more += [(fault, rng.randrange(1 << 30)) for _ in range(round(fault.rounds * share) - 1)]
    rng.shuffle(first)
    rng.shuffle(more)
    return first + more


def run(
    stack: Settings, folder: Path, rounds: Sequence[tuple[Fault, int]], *, seed: int, lanes: int, deadline: float,
    results: Results, tell: Tell,
) -> None:  # fmt: skip
    """Does the rounds, `lanes` arenas at once; what has not begun by the deadline (monotonic) is named as left out."""
    waiting, lock = list(reversed(rounds)), threading.Lock()

    def lane(number: int) -> None:
        with ExitStack() as life:
            arena = life.enter_context(Arena(stack, folder, seed + number))
            begin(arena)
            while True:
                with lock:
                    if not waiting:
                        return
                    fault, own_seed = waiting.pop()
                    if time.monotonic() > deadline:
                        results.left_out.append(fault.name)
                        continue
                if not one(arena, fault, own_seed, results, tell):
                    life.close()  # whatever is wrong with this arena stays with it
                    with suppress(RollcallError):
                        arena.mend()
                    arena = life.enter_context(Arena(stack, folder, own_seed))
                    begin(arena)

    with ThreadPoolExecutor(lanes) as pool:
        try:
            for done in [pool.submit(lane, number) for number in range(lanes)]:
                done.result()
        except BaseException:  # ended from outside: no further round begins
            waiting.clear()
            raise


def begin(arena: Arena) -> None:
    """One worker, and nothing left to do."""
    arena.produce()
    arena.crew.start()
    arena.settle()


def one(arena: Arena, fault: Fault, seed: int, results: Results, tell: Tell) -> bool:
    """One round; False when it could not be brought to its end."""
    try:
        with arena.round(fault.name, seed) as this:
            this.note = fault.hurt(arena, Random(seed)) or ""
    except NotHad as reason:
        results.not_had[fault.name] = str(reason)
        arena.crew.kill_all()
        arena.crew.start()
    except Exception as error:
        what = f"{type(error).__name__}: {error}" if isinstance(error, AssertionError) else traceback.format_exc()
        results.failed.append((fault.name, seed, what))
        tell(f"FAILED {fault.name} (seed {seed}): {what}")
        return False
    else:
        results.rounds.append(this)
        verdict = "exact" if this.holds else f"WRONG {this.found}, commits ahead {this.ahead}"
        tell(f"{this.seconds:5.1f} s  {fault.name}: {verdict}; pause {this.pause:.1f} s  {this.note}")
    return True


def table(results: Results) -> str:
    """Markdown: a line a fault, a line of totals."""
    head = ("fault", "rounds", "`kill -9`", "restarts", "events", "missing", "extra", "other columns", "set aside ±",
            "commits ahead", "repeats", "longest pause (median)")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for name in dict.fromkeys(each.fault for each in sorted(results.rounds, key=lambda each: each.fault.lower())):
        lines.append(_line(name, [each for each in results.rounds if each.fault == name]))
    return "\n".join([*lines, _line("**all**", results.rounds)])


def _line(name: str, rounds: Sequence[Round]) -> str:
    pauses = sorted(each.pause for each in rounds) or [0.0]
    records = sum(each.records for each in rounds)
    repeats = sum(each.repeated for each in rounds) / records if records else 0.0
    cells = (
        name, len(rounds), sum(r.kills for r in rounds), sum(r.restarts for r in rounds),
        f"{sum(r.events for r in rounds):,}", sum(r.found.missing for r in rounds), sum(r.found.extra for r in rounds),
        sum(r.found.wrong for r in rounds), sum(r.found.aside_wrongly for r in rounds),
        sum(r.ahead for r in rounds), f"{repeats:.1%}", f"{pauses[-1]:.1f} s ({pauses[len(pauses) // 2]:.1f} s)",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
