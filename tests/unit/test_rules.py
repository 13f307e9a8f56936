"""The other kinds of rules: what each finds, when it is silent, and that it cites its entry."""

from __future__ import annotations

from datetime import date
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.report import Finding, Report, SetAside
from schemas.rules import Rule
from stream_jobs.month_close.rules.registry import ADDING, FINDING
from stream_jobs.month_close.rules.tier import tier_at
from stream_jobs.month_close.rules.variance import changed
from stream_jobs.month_close.rules.zero import months_after
from tests.unit.report_basis import (
    OCTOBER,
    added,
    adjusted,
    agreement,
    catalogue,
    found,
    only,
    report,
    rule,
    sku,
)

SEPTEMBER = date(2026, 9, 1)


def test_every_kind_of_rule_is_judged() -> None:
    kinds = {get_args(entry.model_fields["kind"].annotation)[0] for entry in get_args(get_args(Rule)[0])}
    assert kinds - {*ADDING, *FINDING} == {"due_day"}


def one(sku_: dict[str, Any], rule_: dict[str, Any], **contract: Any) -> list[Finding]:
    held = catalogue([sku_], [rule_], [agreement(**contract)])
    return found(report({("a", sku_["id"]): 30}, of=held), rule_["kind"])


@pytest.mark.parametrize(
    ("sku_", "rule_", "contract", "says"),
    [
        (sku("N1", "Net"), rule("unit", families=["Net"], unit="instance"), {}, "reported by instances"),
        (sku("N1", "Net", unit="instance"), rule("unit", families=["Net"], unit="instance"), {}, None),
        (sku("N1", "Other"), rule("unit", families=["Net"], unit="instance"), {}, None),
        (sku("N1", channel="CSA"), rule("channel"), {}, "sold in channel CSA"),
        (sku("N1"), rule("channel"), {}, None),
        (sku("N1", licence_model="concurrent"), rule("licence_model"), {}, "licensed concurrent"),
        (sku("N1", licence_model="per-user"), rule("licence_model"), {}, None),
        (sku("N1", segment="gov"), rule("segment"), {}, "gov exists on-prem only"),
        (sku("N1", "Apps", "on-prem", segment="gov"), rule("segment"), {}, None),
        (sku("N1"), rule("segment"), {}, None),
    ],
)
def test_what_a_sku_is(
    sku_: dict[str, Any], rule_: dict[str, Any], contract: dict[str, Any], says: str | None
) -> None:
    got = one(sku_, rule_, **contract)
    assert [(f.id, f.severity, f.rule and f.rule.id) for f in got] == (
        [(f"{rule_['kind']}:N1", "blocking", rule_["id"])] if says else []
    )
    assert all(says in f.text and "the catalogue" in f.text for f in got if says)


def test_an_agreement_of_a_channel_that_reports_nothing() -> None:
    got = one(sku("N1", channel="CSA"), rule("channel"), channel="CSA")
    assert [f.id for f in got] == ["channel"]
    assert one(sku("N1", channel="CSA"), rule("channel", channels=["CSA"]), channel="CSA") == []


TIERS = [sku("T1", tier=1), sku("T2", tier=2), sku("T3", tier=3)]
BREAKS = {1: 0, 2: 500, 3: 1000}


@pytest.mark.parametrize(
    ("users", "right"), [(1, 1), (499, 1), (500, 2), (999, 2), (1000, 3), (50_000, 3)]
)  # fmt: skip
def test_the_tier_is_that_of_the_greatest_break_that_is_reached(users: int, right: int) -> None:
    assert tier_at(BREAKS, users) == right
    for own in (1, 2, 3):
        made = report({("a", f"T{own}"): users}, of=catalogue(TIERS, [rule("tier", breaks=BREAKS)]))
        assert [f.id for f in found(made)] == ([] if own == right else [f"tier:T{own}"])
        if own != right:
            assert f"tier {right} applies" in found(made)[0].text
            assert f"report it under T{right}" in found(made)[0].text


def test_tiers_per_family_or_per_sku() -> None:
    counts = {("a", "T1"): 300, ("b", "T2"): 200}
    assert [f.id for f in found(report(counts, of=catalogue(TIERS, [rule("tier", breaks=BREAKS)])))] == ["tier:T1"]
    single = rule("tier", breaks=BREAKS, per="sku")
    assert [f.id for f in found(report(counts, of=catalogue(TIERS, [single])))] == ["tier:T2"]


def test_below_every_break_only_a_tier_that_begins_later_is_wrong() -> None:
    held = catalogue(TIERS, [rule("tier", breaks={2: 500, 3: 1000})])
    assert found(report({("a", "T1"): 10}, of=held)) == []
    assert "begins at 500" in only(report({("a", "T2"): 10}, of=held), "tier:T2").text


def test_gov_and_edu_and_skus_without_tier_have_no_break() -> None:
    held = catalogue([sku("G", "Apps", "on-prem", tier="gov"), sku("N")], [rule("tier", breaks={2: 0})])
    assert found(report({("a", "G"): 10, ("a", "N"): 10}, of=held)) == []


def test_trials_that_last_too_long() -> None:
    def made(*trials: tuple[str, int], month: date = OCTOBER) -> list[str]:
        held = catalogue(
            rules=[rule("trials", counted=False)],
            trials=[{"tenant": "a", "sku": "S1", "start": start, "days": days} for start, days in trials],
        )
        return [f.text for f in found(report({("a", "S1"): 30}, of=held, month=month), "trials")]

    assert made(("2026-09-15", 30)) == []
    assert "lasts 31 days from 2026-09-15" in made(("2026-09-15", 31))[0]
    assert "lasts 50 days from 2026-09-15" in made(("2026-09-15", 30), ("2026-10-10", 25))[0]
    assert made(("2026-08-01", 30), ("2026-10-10", 30)) == []
    assert made(("2026-08-01", 40)) == []  # over before the month began


@pytest.mark.parametrize(
    ("month", "first"),
    [(date(2026, 1, 1), True), (date(2026, 3, 1), True), (date(2026, 4, 1), False), (date(2027, 1, 1), False)],
)
def test_a_month_without_users_has_lines_of_zero_citing_their_rule(month: date, first: bool) -> None:
    held = catalogue(
        [sku("S1"), sku("S2", valid_to="2026-01-10"), sku("S3", valid_from="2027-01-31"), sku("X", channel="CSA")],
        [rule("zero_report"), rule("first_report")], [agreement(contract_date="2026-01-15")],
    )  # fmt: skip
    made = report({}, of=held, month=month)
    sold = {date(2026, 1, 1): ["S1", "S2"], date(2027, 1, 1): ["S1", "S3"]}.get(month, ["S1"])
    cited = "r-first_report" if first else "r-zero_report"
    assert [(line.sku, line.reported, line.rule and line.rule.id) for line in made.lines] == [
        (s, 0, cited) for s in sold
    ]
    assert only(made, "zero_report").severity == "info"
    assert made.zero
    assert [t.family for t in made.families] == ["DaaS"]


def test_without_a_rule_a_month_without_users_has_no_lines() -> None:
    made = report({})
    assert (made.lines, made.findings, made.zero) == ([], [], True)


def test_lines_of_zero_stand_beside_those_of_free_users_and_never_beside_paid_ones() -> None:
    held = catalogue(rules=[rule("zero_report")])
    made = report({}, of=held, left_out=[("a", "S1", "free", 3)])
    told = [(line.tenant, line.sku, line.measured) for line in made.lines]
    assert told == [("a", "S1", 3), ("", "P1", 0), ("", "S2", 0)]
    assert added(report({("a", "S1"): 1}, of=held)) == []


def test_a_shortfall_of_an_unused_family_is_no_zero_report() -> None:
    held = catalogue(rules=[rule("zero_report"), rule("family_minimum", when_unused=True, action="add_line")])
    made = report({}, of=held)
    assert [(line.sku, line.reported) for line in made.lines] == [("S1", 25)]
    assert found(made, "zero_report") == []


@pytest.mark.parametrize(
    ("contract", "month", "late"),
    [
        ("2026-01-15", date(2026, 3, 1), False),  # due 10 April, before 15 April
        ("2026-01-15", date(2026, 4, 1), True),
        ("2026-01-05", date(2026, 3, 1), True),  # due 10 April, after 5 April
        ("2026-01-10", date(2026, 3, 1), False),  # on the day
        ("2025-11-30", date(2026, 1, 1), False),  # due 10 February, before the 28th
    ],
)
def test_the_first_report_within_three_months_of_the_contract(contract: str, month: date, late: bool) -> None:
    held = catalogue(rules=[rule("first_report")], agreements=[agreement(contract_date=contract)])
    made = report({("a", "S1"): 1}, of=held, month=month)
    assert [f.id for f in found(made)] == ["first_report"] * late
    earlier = report({}, of=held, month=date(2026, 1, 1))
    assert found(report({("a", "S1"): 1}, of=held, month=month, history=[earlier])) == []


def test_nobody_is_late_whose_contract_is_unknown() -> None:
    held = catalogue(rules=[rule("first_report")], agreements=[])
    made = report({}, of=held, name="csp")
    assert (made.findings, made.contract_date) == ([], None)


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(0, 30))
def test_months_after(day: date, months: int) -> None:
    got = months_after(day, months)
    assert (got.year * 12 + got.month) - (day.year * 12 + day.month) == months
    assert got.day <= day.day
    assert got.day == day.day or (got.month == 2 and got.day >= 28) or got.day == 30


def past(month: date, counts: dict[tuple[str, str], int], **more: Any) -> Report:
    return report(counts, month=month, **more)


def varied(counts: dict[tuple[str, str], int], history: list[Report], **more: Any) -> list[Finding]:
    return found(report(counts, of=catalogue(rules=[rule("variance", **{"percent": 20, **more})]), history=history))


def test_variance_against_the_month_before() -> None:
    before = [past(SEPTEMBER, {("a", "S1"): 100, ("a", "P1"): 10})]
    assert varied({("a", "S1"): 120, ("a", "P1"): 8}, before) == []
    got = varied({("a", "S1"): 121, ("b", "P1"): 7}, before)
    assert [f.id for f in got] == ["variance:previous:family:Apps:on-prem", "variance:previous:family:DaaS"]
    assert "121 reported against 100 in 2026-09 (+21.0%, more than the 20 %" in got[1].text
    assert [f.family for f in got] == ["Apps", "DaaS"]
    assert varied({("a", "S1"): 121, ("b", "P1"): 7}, before, least=22) == []
    assert varied({("a", "S1"): 121}, []) == []


def test_variance_against_the_highest_ever() -> None:
    before = [past(date(2026, 7, 1), {("a", "S1"): 200}), past(SEPTEMBER, {("a", "S1"): 100})]
    [got] = varied({("a", "S1"): 120}, before, against="highest")
    assert "120 reported against 200 in 2026-07, the highest (-40.0%" in got.text
    assert varied({("a", "S1"): 180}, before, against="highest") == []
    assert varied({("a", "S1"): 120}, before) == []


@pytest.mark.parametrize(
    ("per", "ids"),
    [
        ("agreement", []),
        ("sku", ["variance:previous:sku:S1", "variance:previous:sku:S2"]),
        ("tenant", ["variance:previous:tenant:a", "variance:previous:tenant:c"]),
    ],
)
def test_variance_by_what_the_rule_looks_at(per: str, ids: list[str]) -> None:
    before = [past(SEPTEMBER, {("a", "S1"): 50, ("b", "S1"): 30})]
    got = varied({("b", "S1"): 30, ("c", "S2"): 50}, before, per=per)
    assert [f.id for f in got] == ids
    if per == "tenant":
        assert "tenant a: 0 reported against 50 in 2026-09 (-100.0%" in got[0].text
        assert "50 reported against 0 in 2026-09 (where there was nothing)" in got[1].text


def test_shortfalls_hide_no_change() -> None:
    held = catalogue(rules=[rule("family_minimum", action="add_line"), rule("variance", percent=20)])
    before = report({("a", "S1"): 20}, of=held, month=SEPTEMBER)
    assert before.total.reported == 25
    made = report({("a", "S1"): 2}, of=held, history=[before])
    assert made.total.reported == 25
    assert "2 reported against 20" in only(made, "variance:previous:family:DaaS").text


def test_of_two_thresholds_the_most_severe_that_is_passed_stands() -> None:
    rules = [rule("variance", "low", percent=20), rule("variance", "high", percent=100, severity="blocking")]
    before = [past(SEPTEMBER, {("a", "S1"): 10})]
    for users, severity in ((12, None), (13, "warning"), (21, "blocking")):
        made = report({("a", "S1"): users}, of=catalogue(rules=rules), history=before)
        assert [f.severity for f in found(made)] == ([severity] if severity else [])


@given(st.integers(-50, 2000), st.integers(-50, 2000), st.integers(1, 300), st.integers(0, 50))
def test_changed_is_exact(before: int, after: int, percent: int, least: int) -> None:
    difference = abs(after - before)
    expected = difference > 0 and difference >= least and difference * 100 > percent * abs(before)
    assert changed(before, after, percent, least) == expected


def aside(reason: str, source: str, events: int, of_month: str = "event") -> SetAside:
    return SetAside.model_validate({"reason": reason, "source": source, "events": events, "of_month": of_month})


def test_quarantined_events_of_the_month() -> None:
    parts = [aside("unknown_product", "/x", 2), aside("bad_json", "", 1), aside("unknown_product", "/x", 1, "append")]
    held = catalogue(rules=[rule("set_aside", at_most=3)])
    assert found(report({("a", "S1"): 1}, of=held, set_aside=parts[:2])) == []
    made = report({("a", "S1"): 1}, of=held, set_aside=parts)
    assert [f.id for f in found(made)] == ["set_aside:bad_json:", "set_aside:unknown_product:/x"]
    assert "1 event of 2026-10 from an unknown source stands in quarantine" in made.findings[0].text
    assert "3 events of 2026-10 from /x stand in quarantine (unknown_product)" in made.findings[1].text
    assert len(made.set_aside) == 3


def test_events_still_arriving() -> None:
    held = catalogue(rules=[rule("arriving", at_most=1)])
    assert found(report({}, of=held, arriving=1)) == []
    assert "2 subjects of 2026-10 reached the log behind" in only(report({}, of=held, arriving=2), "arriving").text


def test_adjustments_that_fit_no_line_are_in_no_number_and_block() -> None:
    held = catalogue(
        [sku("S1"), {**sku("O1"), "programme": "other"}], agreements=[agreement(tenants=["a"]), agreement("rest")],
        programmes={"csp": {"time_zone": "Asia/Tokyo"}, "other": {"time_zone": "Asia/Tokyo"}},
    )  # fmt: skip
    rows = [("a", "X"), ("zz", "S1"), ("a", "O1"), ("b", "S1"), ("", "S1")]
    made = report(
        {("a", "S1"): 5}, of=held, adjustments=[adjusted(t, s, 3, place) for place, (t, s) in enumerate(rows, 1)]
    )
    assert {f.id for f in found(made) if f.blocks} == {f"unadjusted:{t}:{s}" for t, s in rows}
    assert (made.total.reported, made.total.adjusted, len(made.adjustments)) == (5, 0, 5)
    back = [*made.adjustments, *(adjusted(t, s, -3, place) for place, (t, s) in enumerate(rows, 6))]
    assert found(report({("a", "S1"): 5}, of=held, adjustments=back)) == []


def test_an_adjustment_may_make_a_line_and_is_told_of() -> None:
    made = report({("a", "S1"): 5}, adjustments=[adjusted("b", "S1", 2)])
    assert [(line.tenant, line.measured, line.adjusted, line.reported) for line in made.lines] == [
        ("a", 5, 0, 5), ("b", 0, 2, 2),
    ]  # fmt: skip
    assert [(f.id, f.severity) for f in found(made)] == [("adjusted_unused:b:S1", "warning")]


def test_less_than_nothing_blocks() -> None:
    made = report({("a", "S1"): 5}, adjustments=[adjusted("a", "S1", -7)])
    assert [(f.id, f.blocks) for f in found(made)] == [("negative:a:S1", True)]
    assert "adjustments of -7 take more than the 5 that count; add one of +2 or more" in made.findings[0].text


def test_use_that_no_agreement_covers() -> None:
    held = catalogue(agreements=[agreement(tenants=["a"])])
    made = report({("b", "S1"): 5, ("c", "S1"): 1}, of=held, name="csp")
    assert [(f.id, f.severity) for f in found(made)] == [("uncovered", "blocking")]
    assert "6 uses by 2 tenants (b, c) are under no agreement of csp (east)" in made.findings[0].text
    assert found(report({("b", "S1"): 5}, of=held, name="csp", month=date(2019, 12, 1))) == []
    assert found(report({("b", "S1"): 5}, of=catalogue(agreements=[]), name="csp")) == []
