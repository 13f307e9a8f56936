"""Which rows an agreement counts: every row exactly one, whatever the catalogue went through."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import CheckFailed
from schemas.catalogue import Catalogue
from stream_jobs.month_close.agreements import Tenants
from stream_jobs.month_close.allowances import Allowance
from stream_jobs.month_close.rows import Rows
from stream_jobs.month_close.scope import Scope, scopes_of
from stream_jobs.month_close.versions import Versions

OCTOBER = date(2026, 10, 1)


def catalogue(skus: dict[str, str], zones: dict[str, str] | None = None, unit: str = "user", **more: Any) -> Catalogue:
    sku: dict[str, Any] = {"name": "n", "family": "f", "deployment": "cloud", "unit": unit}
    return Catalogue.model_validate({
        "programmes": {p: {"time_zone": z} for p, z in (zones or {"csp": "Asia/Tokyo", "spla": "UTC"}).items()},
        "tenants": [{"id": "a", "name": "A"}],
        "skus": [{**sku, "id": id, "programme": p} for id, p in skus.items()], **more,
    })  # fmt: skip


def versions(*catalogues: Catalogue) -> Versions:
    return Versions(range(1, len(catalogues) + 1), lambda v: catalogues[v - 1])


def scopes(v: Versions, version: int, skus: list[str], closed: tuple[str, ...] = ()) -> list[Scope]:
    return scopes_of(v, version, OCTOBER, {("a", sku): 1 for sku in skus}, closed)


def owned(v: Versions, version: int, skus: list[str], closed: tuple[str, ...] = ()) -> dict[str, set[str]]:
    return {a.id: set(a.units) for a in scopes(v, version, skus, closed)}


def test_every_programme_reports_also_without_logins() -> None:
    assert owned(versions(catalogue({"S": "csp"})), 1, ["S"]) == {"csp": {"S"}, "spla": set()}
    assert owned(versions(catalogue({"S": "csp"})), 1, []) == {"csp": set(), "spla": set()}


def test_a_sku_taken_out_stays_with_the_programme_it_had_last() -> None:
    v = versions(
        catalogue({"S": "csp", "T": "csp"}), catalogue({"S": "csp", "T": "spla"}), catalogue({"S": "csp"}),
        catalogue({"S": "csp", "T": "csp"}),
    )  # fmt: skip
    assert owned(v, 3, ["S", "T"]) == {"csp": {"S"}, "spla": {"T"}}
    assert owned(v, 4, ["S", "T"]) == {"csp": {"S", "T"}, "spla": set()}


def test_a_programme_taken_out_still_owes_its_month() -> None:
    v = versions(catalogue({"S": "csp", "T": "spla"}), catalogue({"S": "csp"}, {"csp": "Asia/Tokyo"}))
    assert owned(v, 2, ["S", "T"]) == {"csp": {"S"}, "spla": {"T"}}
    assert {a.id: a.time_zone for a in scopes(v, 2, ["T"])} == {"csp": "Asia/Tokyo", "spla": "UTC"}
    moved = versions(v.at(1), catalogue({"S": "csp", "T": "csp"}, {"csp": "Asia/Tokyo"}))
    assert owned(moved, 2, ["S", "T"], ("spla",)) == {"csp": {"S", "T"}, "spla": set()}


def test_a_sku_that_no_version_knows_is_never_dropped() -> None:
    v = versions(catalogue({"S": "csp"}), catalogue({"S": "csp", "LATER": "csp"}))
    with pytest.raises(CheckFailed, match="logins of LATER, which no catalogue version up to 1 knows"):
        scopes(v, 1, ["S", "LATER"])


def agreement(id: str, *named: str, programme: str = "csp", **more: Any) -> dict[str, Any]:
    return {
        "id": id, "programme": programme, "partner": {"name": "P"}, "distributor": {"name": "D"},
        "contract_date": "2020-01", "tenants": list(named), **more,
    }  # fmt: skip


def rows(v: Versions, version: int, cells: list[tuple[str, str]], *closed: str) -> dict[str, set[tuple[str, str]]]:
    found = scopes_of(v, version, OCTOBER, dict.fromkeys(cells, 1), closed)
    return {s.id: {(t, k) for t, k in cells if k in s.units and t in s.tenants} for s in found}


CELLS = [("a", "S"), ("b", "S"), ("a", "T"), ("c", "T")]


def test_tenants_go_to_their_agreement_and_the_others_to_the_programme() -> None:
    v = versions(catalogue({"S": "csp", "T": "spla"}, agreements=[agreement("east", "a"), agreement("idle", "z")]))
    assert rows(v, 1, CELLS) == {
        "csp": {("b", "S")}, "east": {("a", "S")}, "idle": set(), "spla": {("a", "T"), ("c", "T")},
    }  # fmt: skip
    assert rows(v, 1, CELLS[:1]) == {"east": {("a", "S")}, "idle": set(), "spla": set()}


def test_an_agreement_that_closed_and_lost_its_cells_owes_a_revision_without_them() -> None:
    first = catalogue({"S": "csp", "T": "csp"}, agreements=[agreement("east", "a"), agreement("west")])
    gone = catalogue({"S": "csp", "T": "csp"}, agreements=[agreement("west")])
    over = agreement("east", "a", valid_to="2026-10")
    ended = catalogue({"S": "csp", "T": "csp"}, agreements=[over, agreement("west")])
    v = versions(first, gone, ended)
    assert rows(v, 1, CELLS)["east"] == {("a", "S"), ("a", "T")}
    for version in (2, 3):
        assert rows(v, version, CELLS, "east", "west") == {"east": set(), "west": set(CELLS), "spla": set()}
        assert rows(v, version, CELLS) == {"west": set(CELLS), "spla": set()}
        [east] = [s for s in scopes_of(v, version, OCTOBER, dict.fromkeys(CELLS, 1), ["east"]) if s.id == "east"]
        assert (east.empty, east.time_zone) == (True, "Asia/Tokyo")


def test_an_agreement_with_logins_in_two_programmes_is_refused() -> None:
    v = versions(
        catalogue({"S": "csp", "T": "spla"}, agreements=[agreement("east", programme="spla")]),
        catalogue({"S": "csp"}, {"csp": "UTC"}, agreements=[agreement("east")]),
    )
    with pytest.raises(CheckFailed, match="agreement east has logins of 2026-10 in the programmes csp and spla"):
        scopes_of(v, 2, OCTOBER, dict.fromkeys(CELLS, 1), [])


PROGRAMMES = st.sampled_from(["csp", "spla"])


@given(st.lists(st.tuples(
    st.dictionaries(st.sampled_from(["S", "T"]), PROGRAMMES, min_size=1),
    st.lists(st.tuples(st.sampled_from(["e", "f"]), st.lists(st.sampled_from("abc")), PROGRAMMES)),
), min_size=1, max_size=3))  # fmt: skip
def test_every_row_belongs_to_exactly_one_agreement(history: list[Any]) -> None:
    catalogues = [catalogue({"S": "csp", "T": "csp"})]
    for skus, agreed in history:
        named = [agreement(f"{id}-{programme}", *tenants, programme=programme) for id, tenants, programme in agreed]
        catalogues.append(catalogue(skus, agreements=named))
    found = rows(versions(*catalogues), len(catalogues), CELLS)
    assert sorted(cell for cells in found.values() for cell in cells) == sorted(CELLS)


@given(
    st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")), st.booleans()
)
def test_judging_some_tenants_apart_loses_no_row(
    named: set[str], judged: set[str], linked: set[str], others: bool
) -> None:
    tenants = Tenants(frozenset(named), others)
    rows = {(tenant, "S"): 1 for tenant in "abcd" if tenant in tenants}
    entries = tuple(Allowance("trial", "", t, ("S",), 2) for t in sorted(judged) if (t, "S") in rows)
    stored = Rows(OCTOBER, "active_users", 1, aliases=dict.fromkeys(linked, "v"))
    parts = Scope("csp", "UTC", tenants, rows, {"S": "user"}, entries).apart(stored)
    held = [(cell, bool(part.allowances), bool(read.aliases)) for read, part in parts for cell in part.rows]
    assert sorted(held) == sorted((cell, cell[0] in judged, cell[0] in linked) for cell in rows)
    for _, part in parts:
        assert set(part.rows) == {cell for cell in rows if cell[0] in part.tenants}
