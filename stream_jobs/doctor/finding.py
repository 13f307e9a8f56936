"""A check and what it finds. Every check is tried; none is hidden by another's failure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.errors import RollcallError


class State(StrEnum):
    ok = "ok"
    watch = "watch"
    """Nothing is wrong yet."""
    mend = "mend"
    untried = "not tried"
    """What it needs was not to be had."""


@dataclass(frozen=True)
class Finding:
    check: str
    state: State
    says: str
    cure: str = ""


Said = tuple[State, str] | tuple[State, str, str]
"""What a check says: state, sentence, and the cure where one is needed."""


@dataclass(frozen=True)
class Check:
    """`ask` yields what it finds, and may raise: a RollcallError's sentence has its cure. `needs` names other checks,
    without which there is nothing to ask."""

    name: str
    ask: Callable[[], Iterable[Said]]
    needs: Collection[str] = ()


def run(checks: Sequence[Check]) -> Iterator[Finding]:
    """Each check's findings, in order, as they come."""
    failed: set[str] = set()
    for check in checks:
        if missing := [name for name in check.needs if name in failed]:
            yield Finding(check.name, State.untried, f"it needs: {', '.join(missing)}")
            failed.add(check.name)
            continue
        try:
            for said in check.ask():
                yield Finding(check.name, *said)
        except RollcallError as error:
            failed.add(check.name)
            for line in str(error).split("\n"):
                yield Finding(check.name, State.mend, line)
        except Exception as error:
            failed.add(check.name)
            yield Finding(
                check.name, State.mend, f"the check itself failed ({type(error).__name__}: {str(error)[:200]})",
                "report this: it is a fault of Rollcall's own",
            )  # fmt: skip
