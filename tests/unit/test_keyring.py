"""The text that keys are kept as: each key from a month on; faults are named and no key is shown."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from infra.keyring import FIRST, Keys, parse_keys
from infra.pseudonyms import MonthlyPseudonyms, Pseudonyms
from infra.secrets import pseudonym_keys
from schemas.settings import Settings

ONE, TWO, THREE = "0123456789abcdef" * 4, "ab" * 32, "cd" * 32
RING = f"{ONE}\n# the second\n2026-11 {TWO}  # in the vault\n\n2027-03   {THREE}\n"


def test_each_key_holds_from_its_month_until_the_next_one_does() -> None:
    keys = parse_keys(RING, "here")
    assert keys.by_month == {
        FIRST: bytes.fromhex(ONE), date(2026, 11, 1): bytes.fromhex(TWO), date(2027, 3, 1): bytes.fromhex(THREE),
    }  # fmt: skip
    pseudonyms = MonthlyPseudonyms(keys)
    for month, key in (
        (date(1970, 1, 1), ONE), (date(2026, 10, 1), ONE), (date(2026, 11, 1), TWO), (date(2027, 2, 1), TWO),
        (date(2027, 3, 1), THREE), (date(2100, 1, 1), THREE),
    ):  # fmt: skip
        assert pseudonyms.at(month).of("a", "alice") == Pseudonyms(bytes.fromhex(key)).of("a", "alice")
    assert pseudonyms.first.of("a", "alice") == Pseudonyms(bytes.fromhex(ONE)).of("a", "alice")


def test_a_variable_holds_the_same_with_commas() -> None:
    assert parse_keys(f"{ONE}, 2026-11 {TWO},2027-03 {THREE}", "ROLLCALL_KEY") == parse_keys(RING, "here")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not 64 hex digits"),
        ("# nothing\n", "not 64 hex digits"),
        (f"2026-11 {TWO}", "not 64 hex digits"),  # none for the months before
        (f"{ONE}\n{TWO}", "does not begin with the month"),
        (f"{ONE}\n2026-13 {TWO}", "does not begin with the month"),
        (f"{ONE}\n2026-11-01 {TWO}", "does not begin with the month"),
        (f"{ONE}\n2026-11 {TWO[:-1]}", "key from 2026-11 in here is not 64 hex digits"),
        (f"{ONE}\n2026-11 {TWO}\n2026-11 {THREE}", "repeats a month"),
        (f"{ONE}\n1970-01 {TWO}", "repeats a month"),
        (f"{ONE}\n2026-11 {ONE.upper()}", "repeats a month or a key"),
    ],
)
def test_a_faulty_text_is_refused_and_never_shown(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_keys(text, "here")
    assert not any(key[:8] in str(caught.value) for key in (ONE, TWO, THREE))


def test_no_key_is_in_a_representation() -> None:
    shown = repr(parse_keys(RING, "here"))
    assert shown == "Keys(1970-01, 2026-11, 2027-03)"


def test_a_command_gives_the_keys(tmp_path: Path) -> None:
    file = tmp_path / "the ring"
    file.write_text(RING)
    assert pseudonym_keys(Settings(home=tmp_path, key_command=f"cat '{file}'")) == parse_keys(RING, "here")
    with_both = Settings(home=tmp_path, key_command=f"cat '{file}'", key="ff" * 32)
    assert pseudonym_keys(with_both) == Keys({FIRST: b"\xff" * 32})


@pytest.mark.parametrize(
    ("command", "said"),
    [("/nowhere/vault get", "cannot be run"), ("false", "ended with code 1"), ("true", "not 64 hex digits"),
     ("cat 'unclosed", "cannot be run"), ("", "cannot be run")],
)  # fmt: skip
def test_a_command_that_gives_none_is_told(tmp_path: Path, command: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        pseudonym_keys(Settings(home=tmp_path, key_command=command))
