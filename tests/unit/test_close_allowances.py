"""Which entries of a catalogue leave whom out of a month, and on which days."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import Catalogue
from schemas.close import LeftOut
from stream_jobs.month_close.allowances import allowances_in, days_covered, glob, left_out_of, trials_count

OCTOBER = date(2026, 10, 1)
ALL = sum(1 << day for day in range(1, 32))


def catalogue(**parts: Any) -> Catalogue:
    return Catalogue.model_validate({
        "programmes": {"csp": {"time_zone": "Asia/Tokyo"}, "spla": {"time_zone": "UTC"}},
        "tenants": [{"id": "a", "name": "A"}, {"id": "b", "name": "B", "fold_case": False}],
        "skus": [{"id": "S", "name": "S", "programme": "csp", "family": "f", "deployment": "cloud"}], **parts,
    })  # fmt: skip


def trials(counted: bool, **more: Any) -> dict[str, Any]:
    return {"id": "t", "kind": "trials", "valid_from": "2026-10", "source": "CSP-9", "counted": counted, **more}


TRIAL = [{"tenant": "a", "sku": "S", "start": "2026-09-20", "days": 30}]


@pytest.mark.parametrize(("validity", "days"), [
    ((None, None), ALL),
    ((date(2026, 10, 1), date(2026, 11, 1)), ALL),
    ((date(2026, 9, 20), date(2026, 10, 2)), 1 << 1),
    ((date(2026, 10, 31), None), 1 << 31),
    ((date(2026, 10, 5), date(2026, 10, 5)), 0),
    ((None, date(2026, 10, 1)), 0), ((date(2026, 11, 1), None), 0),
])  # fmt: skip
def test_days_of_the_month_that_a_validity_covers(validity: tuple[date | None, date | None], days: int) -> None:
    assert days_covered(validity, OCTOBER) == days


def test_february_has_the_days_it_has() -> None:
    assert days_covered((None, None), date(2028, 2, 1)).bit_count() == 29
    assert days_covered((None, None), date(2027, 2, 1)).bit_count() == 28


@pytest.mark.parametrize(("rules", "counted"), [
    ([], True), ([trials(True)], True), ([trials(False)], False), ([trials(False, programme="spla")], True),
    ([trials(False, valid_from="2026-11")], True), ([trials(False, valid_to="2026-10", valid_from="2026-01")], True),
])  # fmt: skip
def test_trials_are_left_out_only_by_a_rule_that_covers_the_month(rules: list[Any], counted: bool) -> None:
    c = catalogue(rules=rules, trials=TRIAL)
    assert trials_count(c, "csp", OCTOBER) is counted
    found = allowances_in(c, "csp", OCTOBER, {"a"})
    assert [(e.stored, e.tenant, e.skus, e.days) for e in found] == (
        [] if counted else [("trial", "a", ("S",), sum(1 << d for d in range(1, 20)))]
    )


def test_exclusions_stand_before_free_users_before_trials_and_names_are_canonical() -> None:
    c = catalogue(
        rules=[trials(False)], trials=TRIAL,
        free_users=[{"tenant": "a", "subject": " Bob ", "reason": "own-staff"}],
        exclusions=[
            {"tenant": "b", "pattern": "ADM-*", "reason": "administration", "skus": ["S"]},
            {"tenant": "a", "pattern": "ADM-?.x", "reason": "administration"},
            {"tenant": "a", "subject": "gone", "reason": "administration", "valid_to": "2026-10-01"},
        ],
    )  # fmt: skip
    found = allowances_in(c, "csp", OCTOBER, {"a", "b"})
    assert [(e.tenant, e.stored, e.name, e.pattern, e.skus) for e in found] == [
        ("b", "excluded:administration", None, "(?s)^ADM\\-.*$", ("S",)),
        ("a", "excluded:administration", None, "(?s)^adm\\-.\\.x$", ()),
        ("a", "free:own-staff", "bob", None, ()),
        ("a", "trial", None, None, ("S",)),
    ]
    assert [e.tenant for e in allowances_in(c, "csp", OCTOBER, {"b"})] == ["b"]


@given(st.text("a.*?\n+é", max_size=6), st.text("a.*?\n+é", max_size=6))
def test_a_pattern_is_of_the_whole_text(pattern: str, text: str) -> None:
    def matches(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(matches(pattern[1:], text[i:]) for i in range(len(text) + 1))
        return bool(text) and pattern[0] in ("?", text[0]) and matches(pattern[1:], text[1:])

    # RE2's $ is Python's \Z.
    assert bool(re.match(glob(pattern)[:-1] + r"\Z", text)) is matches(pattern, text)


def test_stored_reasons_are_read_back() -> None:
    assert left_out_of("a", "S", "excluded:own-testing", 3) == LeftOut(
        tenant="a", sku="S", kind="excluded", reason="own-testing", subjects=3
    )
    assert left_out_of("a", "S", "trial", 1) == LeftOut(tenant="a", sku="S", kind="trial", reason="", subjects=1)
