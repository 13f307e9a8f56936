"""What must be stored about the log before a close may count."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from infra.errors import CheckFailed
from stream_jobs.month_close.places import Ground, Place, ground

ENDS = {0: 10, 1: 20}
WRITTEN = {0: (12, 1_000), 1: (20, 2_000)}


def places(*more: Place, own: Mapping[int, int] = {0: 12, 1: 20}) -> list[Place]:
    start = [Place("catalogue", p, 1, -1, 0) for p in ENDS]
    return [*start, *(Place("close", p, 7, at, 1_000 * (p + 1)) for p, at in own.items()), *more]


def stand(found: list[Place]) -> Ground:
    return ground(found, number=7, cluster_id="c", topic_id="t", ends=ENDS, written=WRITTEN)


def test_holds_what_was_written_and_the_catalogue_before_it() -> None:
    found = stand(places(Place("catalogue", 0, 2, 11, 0), Place("catalogue", 1, 2, 21, 0)))
    assert found.offsets == {0: 12, 1: 20}
    assert found.catalogue_versions == {0: 2, 1: 1}  # an apply is under way: behind the close in partition 1
    assert found.catalogue_version == 2
    assert found.first_append_ms == 1_000


def test_of_a_record_that_stands_twice_the_first_one_counts() -> None:
    assert stand(places(own={0: 10, 1: 20})).offsets == {0: 10, 1: 20}


@pytest.mark.parametrize("own", [{0: 12}, {0: 12, 1: 21}, {}])
def test_refuses_a_worker_that_stores_elsewhere(own: dict[int, int]) -> None:
    with pytest.raises(CheckFailed, match="do worker and close use the same"):
        stand(places(own=own))


def test_refuses_a_number_that_was_used_before() -> None:
    with pytest.raises(CheckFailed, match="close 7 stands already in partition 0 at offset 9"):
        stand(places(own={0: 9, 1: 20}))


def test_refuses_a_greater_close_before_acknowledged_events() -> None:
    with pytest.raises(CheckFailed, match="close 9 stands already in partition 1 at offset 19"):
        stand(places(Place("close", 1, 9, 19, 0)))
    assert stand(places(Place("close", 1, 8, 20, 0)))  # one that began later may stand before it


def test_refuses_while_a_partition_is_being_added() -> None:
    with pytest.raises(CheckFailed, match="adding partition 2"):
        stand(places(Place("catalogue", 2, 1, -1, 0)))


def test_refuses_a_partition_without_catalogue() -> None:
    with pytest.raises(CheckFailed, match="no catalogue holds in partition 1"):
        stand([place for place in places() if (place.kind, place.partition) != ("catalogue", 1)])
