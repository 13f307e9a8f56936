"""The minimum of a family over all tenants (CSP-25), held against the rule's own words."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report_basis import OCTOBER, added, adjusted, agreement, catalogue, found, only, report, rule, sku

FLAG = rule("family_minimum")
ADD = rule("family_minimum", action="add_line")


@pytest.mark.parametrize(("last", "shortfall"), [(4, 1), (5, 0), (6, 0)])
def test_24_25_and_26_users_over_three_tenants(last: int, shortfall: int) -> None:
    made = report({("a", "S1"): 10, ("b", "S2"): 10, ("c", "S1"): last}, of=catalogue(rules=[ADD]))
    assert [(line.sku, line.shortfall, line.reported) for line in added(made)] == [("S1", 1, 1)] * shortfall
    assert made.total.reported == max(25, 20 + last)
    assert [f.id for f in found(made)] == ["family_minimum:DaaS"] * shortfall
    for line in added(made):
        assert line.rule is not None
        assert (line.rule.id, line.rule.source) == ("r-family_minimum", "a distributor's page")
        assert only(made, "family_minimum:DaaS").severity == "info"
        assert "24 users of family DaaS" in only(made, "family_minimum:DaaS").text


@pytest.mark.parametrize("users", [24, 25, 26, 1])
def test_the_same_on_premises_has_no_minimum(users: int) -> None:
    made = report({("a", "P1"): users}, of=catalogue(rules=[ADD]))
    assert (added(made), found(made), made.total.reported) == ([], [], users)


def test_on_premises_has_one_where_a_rule_says_so() -> None:
    held = catalogue(rules=[rule("family_minimum", deployment="on-prem", action="add_line", quantity=10)])
    made = report({("a", "P1"): 4, ("a", "S1"): 4}, of=held)
    assert [(line.sku, line.shortfall) for line in added(made)] == [("P1", 6)]
    assert only(made, "family_minimum:Apps:on-prem").family == "Apps"


def test_a_family_that_nobody_used_has_none_unless_the_rule_says_so() -> None:
    assert added(report({("a", "P1"): 3}, of=catalogue(rules=[ADD]))) == []
    made = report({("a", "P1"): 3}, of=catalogue(rules=[{**ADD, "when_unused": True}]))
    assert [(line.sku, line.shortfall) for line in added(made)] == [("S1", 25)]


def test_a_family_whose_users_are_all_free_reports_nothing_and_needs_no_minimum() -> None:
    made = report({}, of=catalogue(rules=[ADD]), left_out=[("a", "S1", "free", 3)])
    assert (added(made), made.total.measured, made.total.reported) == ([], 3, 0)


def test_flagged_it_changes_no_number() -> None:
    made = report({("a", "S1"): 24}, of=catalogue(rules=[FLAG]))
    assert (added(made), made.total.reported) == ([], 24)
    finding = only(made, "family_minimum:DaaS")
    assert finding.severity == "warning"
    assert "1 fewer than the 25" in finding.text


def test_what_is_adjusted_counts_and_what_is_left_out_does_not() -> None:
    held = catalogue(rules=[ADD])
    assert added(report({("a", "S1"): 24}, of=held, adjustments=[adjusted("b", "S1", 1)])) == []
    made = report({("a", "S1"): 25}, of=held, adjustments=[adjusted("a", "S1", -2)])
    assert [line.shortfall for line in added(made)] == [2]
    made = report({("a", "S1"): 24}, of=held, left_out=[("a", "S1", "excluded", 9)])
    assert [line.shortfall for line in added(made)] == [1]


def test_the_line_stands_under_the_sku_with_most_or_under_the_rules() -> None:
    counts = {("a", "S1"): 5, ("b", "S2"): 3, ("c", "S2"): 4}
    assert [line.sku for line in added(report(counts, of=catalogue(rules=[ADD])))] == ["S2"]
    tied = {("a", "S2"): 5, ("b", "S1"): 5}
    assert [line.sku for line in added(report(tied, of=catalogue(rules=[ADD])))] == ["S1"]
    named = catalogue(rules=[{**ADD, "line_skus": {"DaaS": "S1"}}])
    assert [line.sku for line in added(report(counts, of=named))] == ["S1"]


def test_a_line_sku_of_another_family_is_told_and_not_used() -> None:
    made = report({("a", "S1"): 5}, of=catalogue(rules=[{**ADD, "line_skus": {"DaaS": "P1"}}]))
    assert added(made) == []
    assert "P1 is no SKU of that family" in only(made, "family_minimum:DaaS").text
    assert only(made, "family_minimum:DaaS").severity == "warning"


def test_instances_are_not_users() -> None:
    held = catalogue([sku("S1"), sku("N1", unit="instance")], [ADD])
    made = report({("a", "S1"): 20, ("a", "N1"): 100}, of=held)
    assert [(line.sku, line.shortfall) for line in added(made)] == [("S1", 5)]
    assert added(report({("a", "N1"): 2}, of=held)) == []


def test_the_entry_that_names_the_family_goes_before_the_general_one() -> None:
    own = rule("family_minimum", "own", families=["DaaS"], quantity=5, action="add_line")
    for rules in ([ADD, own], [own, ADD]):
        made = report({("a", "S1"): 3}, of=catalogue(rules=rules))
        assert [line.shortfall for line in added(made)] == [2]


def test_a_partner_with_two_agreements_is_flagged_since_no_report_knows_the_whole() -> None:
    held = catalogue(rules=[ADD], agreements=[agreement(), agreement("west", tenants=["c"])])
    made = report({("a", "S1"): 24}, of=held)
    assert added(made) == []
    assert only(made, "family_minimum:DaaS").severity == "warning"
    assert "Provider reports in west too" in only(made, "family_minimum:DaaS").text
    other = agreement("west", tenants=["c"], partner={"name": "Another"})
    assert len(added(report({("a", "S1"): 24}, of=catalogue(rules=[ADD], agreements=[agreement(), other])))) == 1


def test_a_rule_that_changes_in_september_judges_no_month_before() -> None:
    held = catalogue(
        rules=[
            rule("family_minimum", "until-august", valid_to="2026-09", action="add_line"),
            rule("family_minimum", "since-september", "2026-09", quantity=30, action="add_line"),
        ]
    )
    said = {}
    for month in (date(2026, 8, 1), date(2026, 9, 1), OCTOBER):
        made = report({("a", "S1"): 24}, of=held, month=month)
        said[month.month] = [(line.shortfall, line.rule and line.rule.id) for line in added(made)]
    assert said == {8: [(1, "until-august")], 9: [(6, "since-september")], 10: [(6, "since-september")]}


@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(["S1", "S2", "T1", "P1"])), st.integers(1, 15)),
    st.integers(1, 40), st.booleans(),
)  # fmt: skip
def test_every_family_reaches_its_minimum_and_not_one_more(
    counts: dict[tuple[str, str], int], least: int, when_unused: bool
) -> None:
    skus = [sku("S1"), sku("S2"), sku("T1", "Secure"), sku("P1", "Apps", "on-prem")]
    rules = [rule("family_minimum", quantity=least, action="add_line", when_unused=when_unused)]
    made = report(counts, of=catalogue(skus, rules))
    for family, members in {"DaaS": ("S1", "S2"), "Secure": ("T1",), "Apps": ("P1",)}.items():
        users = sum(n for (_, s), n in counts.items() if s in members)
        held = family != "Apps" and (users > 0 or when_unused)
        got = sum(total.reported for total in made.families if total.family == family)
        assert got == (max(users, least) if held else users)
        assert [line.shortfall for line in added(made) if line.family == family] == (
            [least - users] if held and users < least else []
        )
