"""Pseudonyms: the same person the same bytes, another tenant or key other ones, and a MAC anyone can recompute."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from infra.pseudonyms import Pseudonyms
from tests.unit.logins import law

KEY = bytes(range(32))


def test_a_known_answer_by_the_documented_construction() -> None:
    """BLAKE2b (RFC 7693), 16 bytes, keyed, over the tenant's id, a zero byte, and the canonical identity."""
    expected = blake2b("customer-a\0josé@customer.example".encode(), key=KEY, digest_size=16)
    assert Pseudonyms(KEY).of("customer-a", "josé@customer.example") == expected.digest()


def test_tenant_identity_and_key_all_matter_and_boundaries_too() -> None:
    made = [
        Pseudonyms(KEY).of("a", "bc"), Pseudonyms(KEY).of("ab", "c"), Pseudonyms(KEY).of("a", "bd"),
        Pseudonyms(KEY[::-1]).of("a", "bc"), Pseudonyms(KEY).of("a", "bC"),
    ]  # fmt: skip
    assert len(set(made)) == len(made)
    assert all(len(each) == 16 for each in made)


@law(100)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(st.characters(codec="utf-8"))), max_size=8))
def test_what_was_hashed_before_makes_no_difference(pairs: list[tuple[str, str]]) -> None:
    used = Pseudonyms(KEY)
    assert [used.of(*pair) for pair in pairs] == [Pseudonyms(KEY).of(*pair) for pair in pairs]
