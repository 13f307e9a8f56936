"""Decision 10: whatever becomes of worker and operator on the way, a quarantined event's state ends right.

The worker is the real fold and the real rows; the operator is what `replays.round_again` says. Both may die after
every step and begin again, the worker anywhere before, and the catalogue is mended or broken in between.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.keyring import FIRST, Keys
from infra.pseudonyms import MonthlyPseudonyms
from schemas.catalogue import parse_catalogue
from schemas.control import read_control
from schemas.quarantine import Origin, State
from stream_jobs.dedup import rows
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.fold import Folder
from stream_jobs.dedup.quarantine import _headers
from stream_jobs.dedup.resolve import Resolver
from stream_jobs.quarantine.replays import REPLAYABLE, round_again
from stream_jobs.quarantine.topic import Kept as SetAside
from stream_jobs.quarantine.topic import kept_of
from tests.unit.logins import NOW_MS, STRUCTURED, TOPIC_ID, Kept, batch, control, law, login, raw

TEXT = """
    programmes: {p: {time_zone: Asia/Tokyo}}
    tenants: [{id: a, name: A}]
    skus: [{id: S, name: S, programme: p, family: f, deployment: cloud}]
    """
FAULTY = parse_catalogue(TEXT)
MENDED = parse_catalogue(TEXT + "products: [{source: /citrix/tokyo-1, product: Desk, sku: S, tenant: a}]")
ORIGIN = Origin(TOPIC_ID, 0, 0, 0)
PSEUDONYMS = MonthlyPseudonyms(Keys({FIRST: bytes(32)}))


class World:
    """One log of one partition, and in it one event that the first catalogue does not know."""

    def __init__(self) -> None:
        self.log = [Kept(0, raw(login({"product": "Desk"}, time="2026-10-31T12:00:00Z")), STRUCTURED)]
        self.committed = 0
        self.set_aside: list[SetAside] = []
        self.latest: tuple[Any, ...] = ()
        """The join of everything stored of the event: (replay, state, reason, detail)."""
        self.counted = False
        self.pending: list[list[tuple[str, Any]]] = []
        """Operators at work: the steps that each has left."""

    def mend(self, version: int) -> None:
        """Even versions of the catalogue know the product, odd ones do not."""
        self.log.append(control(len(self.log), "catalogue", version))

    def version(self, offset: int) -> int:
        found = [read_control(r.value).number for r in self.log[:offset] if r.headers[0][1] != STRUCTURED[0][1]]
        return max(found, default=1)

    def work(self, first: int, count: int, survives: int) -> None:
        """The worker reads some records and dies after `survives` steps, or commits."""
        records = self.log[first : first + count]
        if not records:
            return
        cache = Cache(1000)

        def resolver(version: int) -> Resolver:
            catalogue = FAULTY if version % 2 else MENDED
            return Resolver(version, catalogue, date(2020, 1, 1), cache)

        folded = Folder(TOPIC_ID, 600.0, resolver, self.version(first), 0).fold(batch(records))
        steps: list[Any] = [folded.refused] if folded.refused else []
        steps += rows.blocks(folded, TOPIC_ID, 0, PSEUDONYMS, cache)
        for step in steps[:survives]:
            if step is folded.refused:
                self.set_aside += [kept_of(r.raw, _headers(r)) for r in folded.refused]  # type: ignore[misc]
            elif step.table == "quarantine":
                for latest in step.columns[step.names.index("latest")]:
                    self.store(latest)
            elif step.table == "active_users":
                self.counted = True
        if survives >= len(steps):
            self.committed = max(self.committed, first + len(records))

    def store(self, latest: tuple[Any, ...]) -> None:
        self.latest = max(self.latest, latest)
        assert self.latest[1] != State.counted or self.counted, "said to be counted, and in no row"

    def replay(self) -> None:
        """An operator looks, and is about to send and then to store."""
        if self.latest and self.latest[1] in (*REPLAYABLE, State.replayed):
            kept = next(each for each in self.set_aside if each.number == self.latest[0])
            _, headers, latest = round_again(kept)
            self.pending.append([("send", (kept.value, headers)), ("store", latest)])

    def waive(self) -> None:
        if self.latest and self.latest[1] == State.quarantined:
            number, _, reason, detail = self.latest
            self.pending.append([("store", (number, int(State.waived), reason, detail))])

    def step(self, operator: int) -> None:
        """An operator's next step."""
        if self.pending:
            steps = self.pending[operator % len(self.pending)]
            what, it = steps.pop(0)
            if what == "send":
                self.log.append(Kept(len(self.log), it[0], it[1], NOW_MS))
            else:
                self.store(it)
            self.pending = [each for each in self.pending if each]

    def finish(self) -> None:
        """Every operator dies; the worker reads on to the end."""
        self.pending = []
        self.work(self.committed, len(self.log), 99)


NUMBERS = st.integers(0, 20)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("work"), NUMBERS, st.integers(1, 5), st.integers(0, 6)),
        st.tuples(st.just("work"), st.just(-1), st.integers(1, 5), st.just(99)),
        st.tuples(st.just("replay")), st.tuples(st.just("waive")), st.tuples(st.just("step"), NUMBERS),
        st.tuples(st.just("step"), NUMBERS), st.tuples(st.just("mend")), st.tuples(st.just("die")),
    ),
    max_size=40,
)  # fmt: skip


@law(400)
@given(ACTIONS, st.booleans())
def test_the_state_of_a_quarantined_event_ends_right(actions: list[Any], ever_broken_again: bool) -> None:
    world = World()
    version = 1
    for action, *numbers in actions:
        if action == "work":
            first, count, survives = numbers
            world.work(world.committed if first < 0 else min(first, world.committed), count, survives)
        elif action == "mend":
            version += 1 if ever_broken_again or version % 2 else 2
            world.mend(version)
        elif action == "die":
            world.pending = world.pending[1:]
        else:
            getattr(world, action)(*numbers)
    world.finish()

    number, state = world.latest[:2]
    assert state != State.replayed, "the log is read to its end, and nobody knows what became of it"
    assert world.counted or state in REPLAYABLE, "neither counted nor waiting"
    assert any(each.number == number for each in world.set_aside) or state == State.counted, "its bytes are gone"
    if not ever_broken_again:
        assert (state == State.counted) == world.counted

    if state in REPLAYABLE:  # the cure, whatever was before
        world.mend(version + 2 - version % 2)
        world.replay()
        world.step(0)
        world.step(0)
        world.finish()
        assert world.counted
        assert world.latest[:2] == (number + 1, State.counted)


def test_of_two_replays_under_one_number_the_counted_one_holds() -> None:
    world = World()
    world.work(0, 1, 99)
    world.replay()
    world.replay()
    world.step(0)
    world.mend(2)
    world.step(1)
    assert len(world.log) == 4
    world.finish()
    assert world.counted
    assert world.latest[:2] == (1, State.counted)


def test_a_waiver_of_an_event_that_is_on_its_way_does_not_hide_it() -> None:
    world = World()
    world.work(0, 1, 99)
    world.replay()
    world.step(0)  # sent
    world.waive()
    for _ in range(2):
        world.step(0)
    assert world.latest[:2] == (0, State.replayed)
    world.finish()
    assert world.latest[:2] == (1, State.quarantined)
