"""Union–find over pseudonyms, held against a search of the graph; and what merging does to counts."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import Catalogue
from stream_jobs.month_close.aliases.components import link, representatives, version
from stream_jobs.month_close.aliases.links import Decision, Evidence, Seen, links_in

NODES = st.integers(0, 40).map(lambda n: bytes([n]) * 16)
PAIRS = st.lists(st.tuples(NODES, NODES), max_size=60)


def searched(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The oracle: of each node the smallest that can be reached from it."""
    near = defaultdict(set)
    for one, other in pairs:
        near[one].add(other)
        near[other].add(one)
    found = {}
    for node in near:
        reached, left = {node}, [node]
        while left:
            new = near[left.pop()] - reached
            reached |= new
            left += new
        found[node] = min(reached)
    return found


@given(PAIRS)
def test_components_are_those_of_the_graph(pairs: list[tuple[bytes, bytes]]) -> None:
    assert representatives(pairs) == searched(pairs)


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(pairs: list[tuple[bytes, bytes]], random: object) -> None:
    again = [*pairs, *((b, a) for a, b in pairs[::2])]
    random.shuffle(again)  # type: ignore[attr-defined]
    assert representatives(again) == representatives(pairs)
    assert version(link(*p) for p in again) == version(link(*p) for p in pairs)


@given(PAIRS, PAIRS, st.sets(NODES))
def test_merging_never_raises_a_count(pairs: list[tuple[bytes, bytes]], more: list[tuple[bytes, bytes]],
                                      subjects: set[bytes]) -> None:  # fmt: skip
    def counted(links: list[tuple[bytes, bytes]]) -> int:
        stands = representatives(links)
        return len({stands.get(subject, subject) for subject in subjects})

    assert counted([*pairs, *more]) <= counted(pairs) <= len(subjects)
    assert bool(subjects) <= counted([*pairs, *more])


def test_a_version_is_the_digest_of_its_lines() -> None:
    """`printf '%s\\n' … | sort | sha256sum` of the two lines."""
    pairs = [link(b"\2" * 16, b"\1" * 16), link(b"\1" * 16, b"\3" * 16)]
    assert version(pairs) == "7675c0eb5dfc1bb6be8a7ad585213fe34c0919d341a127784764baf78ace301c"
    assert version([]) == ""


def test_of_several_decisions_the_newest_holds_and_what_is_refused_no_policy_applies() -> None:
    a, b, c = (bytes([n]) * 16 for n in (1, 2, 3))
    catalogue = Catalogue.model_validate({
        "programmes": {"p": {"time_zone": "UTC"}}, "skus": [],
        "tenants": [{"id": "t", "name": "T", "alias_policy": {"identities": "apply", "from_month": "2026-10"}}],
    })  # fmt: skip
    months = {month: date(2026, month, 1) for month in range(8, 13)}

    def held(month: int, *decisions: Decision) -> object:
        seen = [Seen("t", link(a, b), months[9], months[11]), Seen("t", link(b, c), months[8], months[8]),
                Seen("u", link(a, b), months[9], months[11])]  # fmt: skip
        return links_in(months[month], catalogue, Evidence(decisions, seen), lambda: pytest.fail("no name is hashed"))

    assert [held(month) for month in months] == [{}, {}, {"t": {link(a, b)}}, {"t": {link(a, b)}}, {}]
    refused = Decision("t", link(a, b), False, months[10], months[11])
    accepted = Decision("t", link(a, b), True, months[8], months[12])
    assert [held(month, refused) for month in (10, 11)] == [{}, {"t": {link(a, b)}}]
    assert [held(month, accepted, refused) for month in (9, 10)] == [{"t": {link(a, b)}}, {}]
    assert held(10, refused, accepted) == {"t": {link(a, b)}}
