"""The doctor tries every check, and none hides another."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import CheckFailed, OutOfReach
from stream_jobs.doctor.finding import Check, Said, State, run
from stream_jobs.doctor.here import compare, room

PINNED = ["base-lib==1.0", 'worker-lib==2.0; extra == "pipeline"', 'other==2.1; extra == "pipeline"',
          'sheet==3.0; extra == "reports"', 'tool==4.0; extra == "dev"']  # fmt: skip


def fine() -> Iterator[Said]:
    yield State.ok, "well"


def test_a_failure_hides_nothing_but_what_needs_it() -> None:
    asked = []

    def far() -> Iterator[Said]:
        yield State.ok, "half of it"
        raise OutOfReach("it does not answer: start it")

    def broken() -> Iterator[Said]:
        raise ZeroDivisionError("oh")
        yield

    def many() -> Iterator[Said]:
        raise CheckFailed("one: mend it\nanother: mend it too")
        yield

    def never() -> Iterator[Said]:
        asked.append("never")
        yield from fine()

    found = list(run([
        Check("far", far), Check("behind", never, ("far",)), Check("behind that", never, ("behind",)),
        Check("broken", broken), Check("many", many), Check("last", fine),
    ]))  # fmt: skip
    assert [(f.check, f.state) for f in found] == [
        ("far", State.ok), ("far", State.mend), ("behind", State.untried), ("behind that", State.untried),
        ("broken", State.mend), ("many", State.mend), ("many", State.mend), ("last", State.ok),
    ]  # fmt: skip
    assert not asked
    assert found[1].says == "it does not answer: start it"


def test_packages_are_held_against_what_was_tested() -> None:
    def states(installed: dict[str, str]) -> list[tuple[State, str]]:
        return [(said[0], said[1]) for said in compare(PINNED, installed)]

    whole = {"base-lib": "1.0", "worker-lib": "2.0", "other": "2.1"}
    assert states(whole) == [(State.ok, "installed: base, pipeline")], "an extra of which nothing is there is no fault"
    assert states(whole | {"other": "2.2"})[0] == (State.watch, "other is 2.2; Rollcall was tested with 2.1")
    assert states({"base-lib": "1.0", "other": "2.1"})[0] == (State.mend, "worker-lib 2.0 is not installed (pipeline)")
    assert states({})[0][0] is State.mend


def test_room_on_a_disk() -> None:
    def state(free: int) -> State:
        return next(iter(room("a disk", (100, 100 - free, free))))[0]

    assert [state(free) for free in (50, 15, 14, 5, 4, 0)] == [
        State.ok, State.ok, State.watch, State.watch, State.mend, State.mend
    ]  # fmt: skip
