"""Which agreement of a catalogue covers whom in a month, and which have to report it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import CheckFailed
from schemas.agreement import Agreement
from schemas.catalogue import Catalogue
from stream_jobs.month_close.agreements import (
    UNKNOWN_CONTRACT,
    agreement_covering,
    contract_in,
    contracts_in,
    covers_in,
)

OCTOBER = date(2026, 10, 1)


def agreement(id: str, *named: str, programme: str = "csp", since: str = "2020-01-15", **more: Any) -> Agreement:
    return Agreement.model_validate({
        "id": id, "programme": programme, "partner": {"name": "P"}, "distributor": {"name": "D"},
        "contract_date": since, "tenants": list(named), **more,
    })  # fmt: skip


def catalogue(*agreements: Agreement, programmes: tuple[str, ...] = ("csp", "spla")) -> Catalogue:
    return Catalogue(
        programmes={p: {"time_zone": "Asia/Tokyo"} for p in programmes}, tenants=[], skus=[],
        agreements=list(agreements),
    )  # fmt: skip


def ids(c: Catalogue, month: date = OCTOBER) -> list[str]:
    return [a.id for a in contracts_in(c, month)]


def test_without_agreements_each_programme_reports_under_its_own_id() -> None:
    one, other = contracts_in(catalogue(), OCTOBER)
    assert (one.id, one.programme, one.partner.name, one.submission) == ("csp", "csp", "csp", None)
    assert (other.id, other.contract_date) == ("spla", UNKNOWN_CONTRACT)
    assert contract_in(catalogue(), "spla", OCTOBER) == other


def test_a_programme_with_an_agreement_does_not_report_under_its_own_id() -> None:
    c = catalogue(agreement("east", "a"))
    assert ids(c) == ["east", "spla"]
    assert contract_in(c, "csp", OCTOBER).contract_date == UNKNOWN_CONTRACT  # yet tenants may come that it must hold


@pytest.mark.parametrize(("month", "reports"), [
    (date(2019, 12, 1), ["csp"]), (date(2020, 1, 1), ["east"]), (date(2026, 6, 1), ["east"]),
    (date(2026, 7, 1), ["csp"]),
])  # fmt: skip
def test_an_agreement_is_valid_for_whole_months_from_that_of_its_contract(month: date, reports: list[str]) -> None:
    assert ids(catalogue(agreement("east", valid_to="2026-07"), programmes=("csp",)), month) == reports


def test_an_agreement_that_was_renewed_is_the_one_of_the_month() -> None:
    old, new = agreement("east", valid_to="2026-07", purchase_order="1"), agreement("east", valid_from="2026-09")
    c = catalogue(new, old)
    assert contract_in(c, "east", date(2026, 6, 1)) == old
    assert contract_in(c, "east", date(2026, 8, 1)) == old  # not valid: as it was last
    assert contract_in(c, "east", OCTOBER) == new
    assert contract_in(c, "east", date(2019, 1, 1)) == old  # or first
    with pytest.raises(CheckFailed, match="no agreement west for 2026-10"):
        contract_in(c, "west", OCTOBER)


def test_an_agreement_without_tenants_has_those_that_no_other_names() -> None:
    c = catalogue(agreement("rest"), agreement("east", "a", "b"), agreement("else", "c", programme="spla"))
    assert {t: agreement_covering(c, "csp", t, OCTOBER) for t in "abcd"} == {
        "a": "east", "b": "east", "c": "rest", "d": "rest",
    }  # fmt: skip
    assert {t: agreement_covering(c, "spla", t, OCTOBER) for t in "abcd"} == {
        "a": "spla", "b": "spla", "c": "else", "d": "spla",
    }  # fmt: skip
    assert set(covers_in(c, "csp", OCTOBER)) == {"rest", "east"}
    assert {t: agreement_covering(c, "csp", t, date(2019, 1, 1)) for t in "ad"} == {"a": "csp", "d": "csp"}


AGREEMENTS = st.builds(
    agreement, st.sampled_from(["csp", "e", "f", "g"]), programme=st.sampled_from(["csp", "spla"]),
    tenants=st.lists(st.sampled_from("abcd"), unique=True),
    valid_from=st.sampled_from(["2026-09", "2026-10", "2026-11"]),
    valid_to=st.sampled_from([None, "2026-10", "2026-11"]),
)  # fmt: skip


@given(st.lists(AGREEMENTS, max_size=6))
def test_every_tenant_belongs_to_exactly_one(agreements: list[Agreement]) -> None:
    c = catalogue(*agreements)
    for programme in c.programmes:
        cover = covers_in(c, programme, OCTOBER)
        for tenant in "abcdz":
            assert sum(tenant in tenants for tenants in cover.values()) == 1
        held = {a.id for a in agreements if a.programme == programme} | {programme}
        assert set(cover) <= held
