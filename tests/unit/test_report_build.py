"""A report as a whole, held against a computation of its own over rows of single subjects."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import CheckFailed
from schemas.report import Finding, Report, SetAside, Waiver
from tests.unit.report_basis import OCTOBER, adjusted, agreement, catalogue, found, only, report, rule, sku

SKUS = [
    sku("S1", tier=1), sku("S2", tier=2), sku("T1", "Secure", channel="CSA"), sku("P1", "Apps", "on-prem"),
    sku("P2", "DaaS", "on-prem"), sku("N1", "Net", "on-prem", unit="instance"),
]  # fmt: skip
RULES = [
    rule("family_minimum", action="add_line", when_unused=False), rule("zero_report"), rule("channel"),
    rule("tier", breaks={1: 0, 2: 10}), rule("variance", percent=10), rule("variance", "v2", percent=10, per="tenant"),
    rule("set_aside"), rule("arriving"), rule("first_report"),
]  # fmt: skip
CELLS = st.tuples(st.sampled_from("abc"), st.sampled_from([s["id"] for s in SKUS]))
KINDS = ["counted", "excluded", "trial", "free"]
# Subjects one by one: whom, of which SKU, counted or why not.
SUBJECTS = st.lists(st.tuples(CELLS, st.sampled_from(KINDS)), max_size=60)
ADJUSTMENTS = st.lists(
    st.tuples(st.one_of(CELLS, st.tuples(st.sampled_from(["a", "zz"]), st.sampled_from(["S1", "gone"]))),
              st.integers(-5, 30)), max_size=8,
)  # fmt: skip


def parts_of(subjects: list[tuple[tuple[str, str], str]]) -> dict[str, Any]:
    counted = Counter(cell for cell, kind in subjects if kind == "counted")
    left_out = Counter((*cell, kind) for cell, kind in subjects if kind != "counted")
    return {"counts": dict(counted), "left_out": [(t, s, kind, n) for (t, s, kind), n in left_out.items()]}


@given(SUBJECTS, ADJUSTMENTS, st.sets(st.sampled_from(range(len(RULES)))))
def test_every_line_and_total_adds_up_to_what_was_there(
    subjects: list[tuple[tuple[str, str], str]], rows: list[tuple[tuple[str, str], int]], chosen: set[int]
) -> None:
    held = catalogue(SKUS, [RULES[i] for i in sorted(chosen)])
    adjustments = [adjusted(t, s, n, place) for place, ((t, s), n) in enumerate(rows, 1)]
    made = report(of=held, adjustments=adjustments, **parts_of(subjects))
    lines = made.lines
    assert all(q.adds_up for q in [*lines, *made.skus, *made.families, made.total])
    assert len({(line.tenant, line.sku) for line in lines}) == len(lines)
    assert lines == sorted(lines, key=lambda line: (not line.tenant, line.tenant, line.sku))
    fits = [(cell, n) for cell, n in rows if cell[0] in "abc" and cell[1] != "gone"]
    for line in lines:
        cell = (line.tenant, line.sku)
        here = [kind for c, kind in subjects if c == cell]
        assert (line.measured, line.excluded, line.trial, line.free) == (
            len(here), here.count("excluded"), here.count("trial"), here.count("free"),
        )  # fmt: skip
        assert line.adjusted == sum(n for c, n in fits if c == cell)
        assert (line.rule is None) == bool(line.tenant)
        assert not (line.tenant and line.shortfall)
    assert {c for c, _ in subjects} <= {(line.tenant, line.sku) for line in lines}
    for field in ("measured", "excluded", "trial", "free", "adjusted", "shortfall", "reported"):
        everything = sum(getattr(line, field) for line in lines)
        assert getattr(made.total, field) == everything
        assert sum(getattr(t, field) for t in made.skus) == everything
        assert sum(getattr(t, field) for t in made.families) == everything
        for each in made.skus:
            assert getattr(each, field) == sum(getattr(line, field) for line in lines if line.sku == each.sku)
        for group in made.families:
            assert getattr(group, field) == sum(
                getattr(line, field) for line in lines
                if (line.family, line.deployment) == (group.family, group.deployment)
            )  # fmt: skip
    ids = [f.id for f in made.findings]
    assert len(set(ids)) == len(ids)
    order = ["blocking", "warning", "info"]
    assert made.findings == sorted(made.findings, key=lambda f: (order.index(f.severity), f.id))
    assert all(f.text.endswith(".") and f.text.count("..") == 0 for f in made.findings)


@given(SUBJECTS, ADJUSTMENTS, st.randoms())
def test_the_same_basis_in_any_order_gives_the_same_bytes(
    subjects: list[tuple[tuple[str, str], str]], rows: list[tuple[tuple[str, str], int]], random: Any
) -> None:
    held = catalogue(SKUS, RULES)
    adjustments = [adjusted(t, s, n, place) for place, ((t, s), n) in enumerate(rows, 1)]
    before = [report({("a", "S1"): 40}, of=held, month=date(2026, 9, 1))]
    made = report(of=held, adjustments=adjustments, history=before, **parts_of(subjects))
    random.shuffle(subjects)
    random.shuffle(adjustments)
    again = report(of=held, adjustments=adjustments, history=before, **parts_of(subjects))
    assert made.to_json() == again.to_json()
    assert Report.model_validate_json(made.to_json()) == made
    assert b'"sources":' not in made.to_json(), "a report of before there were any keeps its SHA-256"


def test_it_says_whose_it_is_and_what_it_was_made_from() -> None:
    held = catalogue(
        agreements=[agreement(contract_date="2026-01-15", purchase_order="PO-7", language="ja")],
        rules=[rule("due_day", day=12)],
    )
    made = report({("a", "S1"): 3}, of=held, revision=2)
    assert (made.agreement, made.programme, made.month, made.revision, made.draft) == ("east", "csp", OCTOBER, 2, 1)
    assert (made.purchase_order, made.language, made.contract_date) == ("PO-7", "ja", date(2026, 1, 15))
    assert (made.due.day, made.due.rule and made.due.rule.id) == (date(2026, 11, 12), "r-due_day")
    assert (made.seal.revision, made.seal.close_number, made.seal.catalogue_version) == (1, 1, 1)
    [line] = made.lines
    assert (line.tenant_name, line.sku_name, line.family, line.unit) == ("Customer A", "Product S1", "DaaS", "user")
    assert made.correction is None


def test_a_sku_that_the_catalogue_no_longer_has() -> None:
    with pytest.raises(CheckFailed, match="counts SKU OLD, which catalogue version 1 and those before do not know"):
        report({("a", "OLD"): 3})
    old = catalogue([sku("OLD", "Former")]).skus[0]
    made = report({("gone", "OLD"): 3}, retired={"OLD": old})
    assert [(line.tenant_name, line.family, line.reported) for line in made.lines] == [("gone", "Former", 3)]


def test_a_correction_tells_the_difference_line_by_line() -> None:
    held = catalogue(rules=[rule("family_minimum", quantity=20, action="add_line")])
    first = report({("a", "S1"): 10, ("b", "S1"): 5, ("b", "P1"): 7}, of=held)
    assert [(line.sku, line.shortfall) for line in first.lines if line.shortfall] == [("S1", 5)]
    second = report(
        {("a", "S1"): 12, ("b", "P1"): 7, ("c", "S1"): 8}, of=held, revision=2, corrects=first, reason="late events"
    )
    assert second.correction is not None
    assert (second.correction.of_revision, second.correction.reason) == (1, "late events")
    assert [(d.tenant, d.sku, d.before, d.after) for d in second.correction.differences] == [
        ("a", "S1", 10, 12), ("b", "S1", 5, 0), ("c", "S1", 0, 8), ("", "S1", 5, 0),
    ]  # fmt: skip


@given(SUBJECTS, SUBJECTS)
def test_differences_lead_from_the_one_to_the_other(
    before: list[tuple[tuple[str, str], str]], after: list[tuple[tuple[str, str], str]]
) -> None:
    held = catalogue(SKUS, RULES)
    first = report(of=held, **parts_of(before))
    second = report(of=held, corrects=first, reason="r", **parts_of(after))
    assert second.correction is not None
    cells = Counter({(line.tenant, line.sku): line.reported for line in first.lines})
    for difference in second.correction.differences:
        assert cells[difference.tenant, difference.sku] == difference.before != difference.after
        cells[difference.tenant, difference.sku] = difference.after
    assert +cells == +Counter({(line.tenant, line.sku): line.reported for line in second.lines})


def test_waivers_and_findings_of_others() -> None:
    waiver = Waiver(place=4, reason="other", text="known", actor="alice")
    lost = Finding(id="offsets_lost:0", kind="offsets_lost", severity="blocking", text="t.")
    twice = [Finding(id="silent_source:/x", kind="silent_source", severity=s, text="t.") for s in ("info", "warning")]
    parts = [SetAside(reason="bad_json", source="/x", events=1, of_month="event")]
    made = report(
        {("a", "S1"): 1}, of=catalogue(rules=[rule("set_aside")]), set_aside=parts, more_findings=[*twice, lost],
        waivers={"set_aside:bad_json:/x": waiver, "gone": waiver},
    )  # fmt: skip
    assert [(f.id, f.severity, f.blocks) for f in found(made)] == [
        ("offsets_lost:0", "blocking", True), ("set_aside:bad_json:/x", "blocking", False),
        ("silent_source:/x", "warning", False),
    ]  # fmt: skip
    assert only(made, "set_aside:bad_json:/x").waived == waiver
