"""Building, held against the year's oracle: from its numbers of who logged in, the same reports, rule by rule."""

from __future__ import annotations

from datetime import date

import pytest

from schemas.catalogue import Catalogue, parse_catalogue
from schemas.report import Quantities as Reported
from schemas.report import Report
from stream_jobs.month_close.agreements import contract_in
from stream_jobs.month_close.due import due_moment, settled_moment
from stream_jobs.month_close.report.build import Basis, build
from tests.unit.report_basis import adjusted, seal
from tests.year import provider
from tests.year.oracle import Expected, Oracle, Quantities, Seen, Signed

SIGNED = {("jp-2024", date(2024, 3, 1)): [Signed("t05", "JP-DAAS-PREM", -1), Signed("t06", "JP-CVAD", 2)]}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return parse_catalogue(provider.catalogue({}))


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    seen = [
        Seen(a.hour, x.time, x.source, x.subject, x.tenant, x.sku) for a in provider.arrivals(4) for x in a.logins
    ]
    return Oracle(provider.catalogue({}), seen)


def built(catalogue: Catalogue, expected: Expected, signed: list[Signed], corrects: Report | None = None) -> Report:
    """From the oracle's quantities, as a seal has them."""
    cells = {cell: q for cell, q in expected.lines.items() if cell[0]}
    counts = {cell: q.measured - q.excluded - q.trial - q.free for cell, q in cells.items()}
    left_out = [
        (t, s, kind, getattr(q, kind)) for (t, s), q in cells.items()
        for kind in ("excluded", "trial", "free") if getattr(q, kind)
    ]  # fmt: skip
    basis = Basis(
        catalogue=catalogue, agreement=contract_in(catalogue, expected.agreement, expected.month),
        month=expected.month, seal=seal(counts, left_out, expected.month, expected.agreement),
        adjustments=[adjusted(*row, place=place) for place, row in enumerate(signed, 1)], corrects=corrects,
        reason="late",
    )  # fmt: skip
    return build(basis, expected.revision, 1)


def plain(q: Reported) -> Quantities:
    return Quantities(*(getattr(q, part) for part in Quantities._fields))


def holds(made: Report, expected: Expected) -> None:
    assert {(x.tenant, x.sku): plain(x) for x in made.lines if x.measured or x.reported or x.adjusted} == {
        cell: q for cell, q in expected.lines.items() if any(q)
    }
    assert {x.sku: plain(x) for x in made.skus if any(plain(x))} == {s: q for s, q in expected.skus.items() if any(q)}
    assert {(x.family, x.deployment): plain(x) for x in made.families if any(plain(x))} == {
        family: q for family, q in expected.families.items() if any(q)
    }
    assert plain(made.total) == expected.total
    assert made.due.day == expected.due
    assert {
        (f.kind, f.family, f.rule.id if f.rule else "") for f in made.findings
        if f.kind in ("family_minimum", "zero_report")
    } == expected.findings  # fmt: skip


@pytest.mark.parametrize("side", [side.id for side in provider.SIDES])
def test_a_year_of_reports(catalogue: Catalogue, oracle: Oracle, side: str) -> None:
    for month in provider.MONTHS:
        signed = SIGNED.get((side, month), [])
        first = oracle.report(side, month, 1, oracle.settled(side, month), signed)
        made = built(catalogue, first, signed)
        holds(made, first)
        contract = contract_in(catalogue, side, month)
        assert due_moment(made.due) == oracle.late_from(side, month)
        assert settled_moment(catalogue, contract, month) == oracle.settled(side, month)

        second = oracle.report(side, month, 2, provider.END, signed, first)
        corrected = built(catalogue, second, signed, made)
        holds(corrected, second)
        assert corrected.correction is not None
        assert {(d.tenant, d.sku): (d.before, d.after) for d in corrected.correction.differences} == second.differences
    if side == provider.ZERO[0]:
        zero = built(catalogue, oracle.report(*provider.ZERO, 1, provider.END), [])
        assert zero.zero
        assert [line.sku for line in zero.lines] == sorted(s["id"] for s in provider.skus(provider.SIDES[2]))
