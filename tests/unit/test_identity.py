"""Who is the same person, and who is not."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import read_event
from schemas.identity import canonical, domain_of
from schemas.quarantine import Refusal
from tests.unit.logins import law, login, raw

SAME = [
    ("alice@customer.example", "ALICE@Customer.Example"),
    ("alice", "  alice\u3000"),
    ("alice", "\u2003Alice\u00a0"),
    ("Jos\u00e9", "jose\u0301"),
    ("STRASSE", "straße"),
    ("\u1e9e", "ss"),
    ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
    ("\u212b", "a\u030a"),  # the Ångström sign
    ("\u1fb3", "\u03b1\u0399"),  # a subscript iota folds to a letter
    ("한글", normalize("NFD", "한글")),
]
DIFFERENT = [
    ("CUSTOMER\\alice", "alice@customer.example"),
    ("alice", "alice@customer.example"),
    ("alice", "al ice"),
    ("alice", "al\u200bice"),
    ("alice", "аlice"),  # a Cyrillic а
    ("ﬁona".replace("ﬁ", "fi"), "fi ona"),
    ("ı", "i"),
    ("Ⅷ", "viii"),  # compatibility forms stay apart: NFC, not NFKC
    ("jose", "josé"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_subject(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_subjects(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


def test_folding_may_be_switched_off_but_nothing_else() -> None:
    assert canonical(" Jose\u0301 ", fold_case=False) == "José"
    assert canonical("alice", fold_case=False) != canonical("Alice", fold_case=False)


spelled = st.text(min_size=1, max_size=12) | st.text("aA \u0301\u0345ßİ\u3000ΐ@", min_size=1, max_size=8)


@law(300)
@given(spelled, st.booleans())
def test_unicode_forms_case_and_margins_make_no_difference(subject: str, fold: bool) -> None:
    form = canonical(subject, fold)
    for other in (normalize("NFC", subject), normalize("NFD", subject), f" {subject}", f"{subject}\u3000"):
        assert canonical(other, fold) == form
    assert form == normalize("NFC", form).strip()
    if subject.isascii():
        assert canonical(subject.swapcase()) == canonical(subject)


@law(300)
@given(spelled)
def test_an_accepted_subject_never_becomes_empty(subject: str) -> None:
    try:
        read_event(raw(login(subject=subject)))
    except Refusal:
        return
    assert canonical(subject)
    assert canonical(subject, fold_case=False)


@pytest.mark.parametrize(("subject", "short"), [
    ("Alice@customer.example", "alice"), ("CUSTOMER\\Alice", "alice"), ("alice", "alice"), ("S-1-5-21-7", "s-1-5-21-7"),
    ("CORP\\alice@customer.example", "alice"), ("@customer.example", "@customer.example"), ("CORP\\", "corp\\"),
])  # fmt: skip
def test_without_domains_a_user_is_the_name_alone(subject: str, short: str) -> None:
    assert canonical(subject, truncate=True) == short


@pytest.mark.parametrize(
    ("subject", "domain"),
    [
        ("alice@Customer.Example", "customer.example"),
        (" alice@customer.example ", "customer.example"),
        ("a@b@customer.example", "customer.example"),
        ("alice@BU\u0308CHER.example", "bücher.example"),
        ("@customer.example", "customer.example"),
        ("alice", None),
        ("alice@", None),
        ("alice@ ", None),
        ("CUSTOMER\\alice", None),
    ],
)
def test_the_domain_of_a_user_name(subject: str, domain: str | None) -> None:
    assert domain_of(subject) == domain
