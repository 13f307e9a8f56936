"""The digest is what `sort` and `sha256sum` give."""

from __future__ import annotations

import hashlib
import random
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from schemas.close import SealedCount
from stream_jobs.month_close.digest import cell_digest, seal_digest

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:+/-]{0,3}", fullmatch=True)
CELLS = st.lists(st.tuples(IDS, IDS, st.integers(0, 10**7)), unique_by=lambda c: c[:2], max_size=20)


def sealed(cells: list[tuple[str, str, int]]) -> list[SealedCount]:
    return [SealedCount(tenant=t, sku=s, active_users=n, digest=f"{n:064x}") for t, s, n in cells]


def with_tools(lines: list[str]) -> str:
    pipe = subprocess.run(
        "LC_ALL=C sort | sha256sum", shell=True, input="".join(f"{line}\n" for line in lines).encode(),
        capture_output=True, check=True,
    )  # fmt: skip
    return pipe.stdout.decode()[:64]


def test_of_nothing_is_the_hash_of_nothing() -> None:
    assert seal_digest([]) == cell_digest([]) == hashlib.sha256(b"").hexdigest()


def test_is_what_sort_and_sha256sum_print() -> None:
    rng = random.Random(3)
    subjects = [rng.randbytes(16) for _ in range(300)] + [bytes(16), b"\xff" * 16]
    assert cell_digest(subjects) == with_tools([s.hex() for s in subjects])
    # `+` and `-` sort before and behind the comma: whole lines are sorted, not columns.
    cells = sealed([("a", "S", 2), ("a+b", "S", 11), ("a-b", "S", 3), ("B", "S", 1), ("a", "S+1", 5), ("a", "S", 10)])
    assert seal_digest(cells) == with_tools([f"{c.tenant},{c.sku},{c.active_users},{c.digest}" for c in cells])


@given(CELLS, st.randoms())
def test_order_of_cells_does_not_matter(cells: list[tuple[str, str, int]], rng: random.Random) -> None:
    shuffled = list(cells)
    rng.shuffle(shuffled)
    assert seal_digest(sealed(cells)) == seal_digest(sealed(shuffled))


@given(CELLS, CELLS)
def test_other_cells_have_another_digest(one: list[tuple[str, str, int]], other: list[tuple[str, str, int]]) -> None:
    assert (seal_digest(sealed(one)) == seal_digest(sealed(other))) == (set(one) == set(other))


@given(st.sets(st.binary(min_size=16, max_size=16)), st.sets(st.binary(min_size=16, max_size=16)))
def test_other_subjects_have_another_digest(one: set[bytes], other: set[bytes]) -> None:
    assert (cell_digest(one) == cell_digest(other)) == (one == other)
