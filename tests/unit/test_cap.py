"""The cap: a source that sends mostly what cannot be counted stops the worker, others do not, and a lift lets pass."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from schemas.quarantine import Origin, Refusal
from stream_jobs.dedup.batch import Batch
from stream_jobs.dedup.cap import WINDOW, Cap, Trip
from stream_jobs.dedup.fold import Folded, Refused
from tests.unit.logins import NOW_MS, Kept, batch, login, raw

SAMPLE = 100


def seen(good: Mapping[str, int], bad: Mapping[str, int], first: int = 0, replay: int = 0) -> tuple[Batch, Folded]:
    """A batch of one event a record, from offset `first` on: the bad ones of every source, then the good ones."""
    folded = Folded()
    for source, count in good.items():
        folded.heard[source][0] = count
    for source, count in bad.items():
        for _ in range(count):
            value = raw(login(source=source, specversion="0.3")) if source != "unknown" else b"{"
            origin = Origin("topic", 0, first + len(folded.refused), 0)
            refusal = Refusal("wrong_specversion", "")
            folded.refused.append(Refused(origin, replay, value, (), refusal, None, NOW_MS))
    size = sum(good.values()) + len(folded.refused)
    return batch([Kept(offset, b"x") for offset in (first, first + max(size, 1) - 1)]), folded


def cap(lifts: Mapping[str, Mapping[int, int]] | None = None) -> Cap:
    return Cap(0.5, SAMPLE, lifts or {})


@pytest.mark.parametrize(
    ("good", "bad", "trip"),
    [
        ({}, {"/one": SAMPLE}, Trip("/one", SAMPLE, SAMPLE)),
        ({}, {"/one": SAMPLE - 1}, None),  # too few to judge
        ({"/one": 50}, {"/one": 50}, None),  # the ratio itself is allowed
        ({"/one": 49}, {"/one": 51}, Trip("/one", 100, 51)),
        ({"/two": 1000}, {"/one": SAMPLE}, Trip("/one", SAMPLE, SAMPLE)),  # a good neighbour is no excuse
        ({"/two": 1000}, {"/one": 10}, None),
        ({}, {"unknown": SAMPLE}, Trip("unknown", SAMPLE, SAMPLE)),
        ({"/one": 40}, {"/one": 60, "/two": 100, "/three": 99}, Trip("/two", 100, 100)),  # the worst of several
    ],
)
def test_the_share_of_a_source(good: dict[str, int], bad: dict[str, int], trip: Trip | None) -> None:
    assert cap().judge(*seen(good, bad)) == trip


def test_batches_add_up() -> None:
    judge = cap().judge
    assert judge(*seen({}, {"/one": 60})) is None
    assert judge(*seen({"/one": 10}, {}, 60)) is None
    assert judge(*seen({}, {"/one": 30}, 70)) == Trip("/one", 100, 90)


def test_replays_do_not_count() -> None:
    assert cap().judge(*seen({}, {"/one": 10 * SAMPLE}, replay=1)) is None


def test_a_lift_lets_pass_what_stood_in_the_log_then_and_judges_anew_what_comes() -> None:
    judge = cap({"/one": {0: 150}}).judge
    assert judge(*seen({}, {"/one": 100})) is None
    assert judge(*seen({}, {"/one": 100}, 100)) is None, "a batch that straddles the lift: 50 came behind it"
    assert judge(*seen({}, {"/one": 49}, 200)) is None
    assert judge(*seen({}, {"/one": 1}, 249)) == Trip("/one", 100, 100)


def test_a_lift_is_of_one_source_and_of_the_partitions_it_names() -> None:
    lifts = {"/one": {0: 1000}, "/two": {1: 1000}}
    assert cap(lifts).judge(*seen({}, {"/one": SAMPLE})) is None
    assert cap(lifts).judge(*seen({}, {"/two": SAMPLE})) == Trip("/two", SAMPLE, SAMPLE)


def test_old_good_days_do_not_excuse_a_bad_one_for_ever() -> None:
    judge = cap().judge
    for n in range(10):
        assert judge(*seen({"/one": 10 * WINDOW * SAMPLE}, {}, n)) is None
    for _ in range(40 * WINDOW):
        if trip := judge(*seen({}, {"/one": SAMPLE})):
            break
    else:
        pytest.fail("a source that sends nothing but bad events must trip the cap")
    assert trip.refused > trip.events / 2
