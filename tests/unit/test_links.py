"""What events say of who is who: links of a batch, whatever its order and repetition."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from infra.keyring import FIRST, Keys
from infra.pseudonyms import MonthlyPseudonyms
from stream_jobs.dedup.links import SAM, SID, SUBJECT, UPN, Known, Seen, rows_of

HASHED = MonthlyPseudonyms(Keys({FIRST: b"k" * 32}))
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


def one(name: str, tenant: str = "a") -> bytes:
    return HASHED.first.of(tenant, name)


def pair(x: str, y: str) -> tuple[bytes, bytes]:
    return min(one(x), one(y)), max(one(x), one(y))


def test_the_subject_is_linked_with_each_other_name() -> None:
    found = rows_of(
        [
            Seen(NOVEMBER, "a", True, False, ("Alice@x.example", "alice@X.example", "S-1-5-21-7", "CORP\\Alice")),
            Seen(OCTOBER, "a", True, False, ("alice@x.example", "", "s-1-5-21-7", "")),
        ],
        HASHED, frozenset(),
    )  # fmt: skip
    assert {(t, x, y): rest for t, x, y, *rest in found.links} == {
        ("a", *pair("alice@x.example", "s-1-5-21-7")): [SUBJECT | SID, OCTOBER, NOVEMBER],
        ("a", *pair("alice@x.example", "corp\\alice")): [SUBJECT | SAM, NOVEMBER, NOVEMBER],
    }
    assert {s: name for _, s, name in found.names} == {
        one(name): name for name in ("alice@x.example", "s-1-5-21-7", "corp\\alice")
    }


def test_a_tenant_may_do_without_domains() -> None:
    names = ("alice@x.example", "Alice@y.example", "S-1-5-21-7", "CORP\\alice")
    found = rows_of([Seen(OCTOBER, "a", True, True, names)], HASHED, frozenset())
    assert [name for *_, name in found.names] == ["alice", "s-1-5-21-7"]
    assert [row[1:4] for row in found.links] == [(*pair("alice", "s-1-5-21-7"), SUBJECT | SID)]


def test_an_erased_name_is_linked_and_not_named() -> None:
    erased = frozenset({("a", one("alice@x"))})
    found = rows_of([Seen(OCTOBER, "a", True, False, ("alice", "alice@x", "", ""))], HASHED, erased)
    assert [row[:4] for row in found.links] == [("a", *pair("alice", "alice@x"), SUBJECT | UPN)]
    assert [name for *_, name in found.names] == ["alice"]


NAMES = st.tuples(st.sampled_from(["a", "A", "b"]), *[st.sampled_from(["", "a", "c", "d"])] * 3)
MONTHS = st.sampled_from([OCTOBER, NOVEMBER])
SEEN = st.lists(st.builds(Seen, MONTHS, st.sampled_from("ab"), st.just(True), st.booleans(), NAMES))


@given(SEEN, st.randoms(use_true_random=False))
def test_order_repetition_and_cutting_change_nothing(found: list[Seen], random: object) -> None:
    again = [*found, *found[::2]]
    random.shuffle(again)  # type: ignore[attr-defined]
    whole = rows_of(found, HASHED, frozenset())
    assert set(rows_of(again, HASHED, frozenset()).links) == set(whole.links)
    joined: dict[tuple[str, bytes, bytes], tuple[int, date, date]] = {}
    for part in (again[: len(again) // 2], again[len(again) // 2 :]):  # as ClickHouse joins two inserts
        for t, x, y, kinds, start, end in rows_of(part, HASHED, frozenset()).links:
            k, s, e = joined.get((t, x, y), (0, start, end))
            joined[t, x, y] = k | kinds, min(s, start), max(e, end)
    assert {(*key, *rest) for key, rest in joined.items()} == set(whole.links)


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_what_is_remembered_was_stored(found: list[int], entries: int) -> None:
    known, stored = Known(entries), set()
    for number in found:
        fresh = known.fresh([Seen(OCTOBER, "a", True, False, (str(number), "", "", ""))])
        stored.update(fresh)
        known.learn(fresh)
        assert Seen(OCTOBER, "a", True, False, (str(number), "", "", "")) in stored
