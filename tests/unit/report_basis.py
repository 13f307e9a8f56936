"""Small catalogues, seals and bases for the tests of rules and reports."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from schemas.catalogue import Catalogue
from schemas.close import Seal, SealedCount
from schemas.report import Adjustment, Finding, Line, Report
from stream_jobs.month_close.agreements import contract_in
from stream_jobs.month_close.report.build import Basis, build

OCTOBER = date(2026, 10, 1)
DIGEST = "0" * 64
SOURCE = "a distributor's page"


def sku(id: str, family: str = "DaaS", deployment: str = "cloud", **more: Any) -> dict[str, Any]:
    return {
        "id": id, "name": f"Product {id}", "programme": "csp", "family": family, "deployment": deployment, **more
    }  # fmt: skip


def rule(kind: str, id: str = "", valid_from: str = "2020-01", **more: Any) -> dict[str, Any]:
    return {"id": id or f"r-{kind}", "kind": kind, "valid_from": valid_from, "source": SOURCE, **more}


def agreement(id: str = "east", **more: Any) -> dict[str, Any]:
    return {
        "id": id, "programme": "csp", "partner": {"name": "Provider"}, "distributor": {"name": "Distributor"},
        "contract_date": "2020-01-15", **more,
    }  # fmt: skip


def catalogue(
    skus: Iterable[dict[str, Any]] = (), rules: Iterable[dict[str, Any]] = (),
    agreements: Iterable[dict[str, Any]] | None = None, zone: str = "Asia/Tokyo", **more: Any,
) -> Catalogue:  # fmt: skip
    """Three tenants a, b and c; one programme csp; without `agreements` one that covers all."""
    return Catalogue.model_validate(
        {
            "programmes": {"csp": {"time_zone": zone}},
            "tenants": [{"id": t, "name": f"Customer {t.upper()}"} for t in "abc"],
            "skus": list(skus) or [sku("S1"), sku("S2"), sku("P1", "Apps", "on-prem")], "rules": list(rules),
            "agreements": [agreement()] if agreements is None else list(agreements), **more,
        }
    )  # fmt: skip


def seal(
    counts: dict[tuple[str, str], int], left_out: Iterable[tuple[str, str, str, int]] = (), month: date = OCTOBER,
    name: str = "east",
) -> Seal:  # fmt: skip
    return Seal.model_validate(
        {
            "month": month, "agreement": name, "revision": 1, "close_number": 1, "time_zone": "Asia/Tokyo",
            "digest": DIGEST, "cluster_id": "c", "topic_id": "t", "offsets": {0: 1},
            "append_times": {0: datetime(2026, 11, 4, tzinfo=UTC)}, "catalogue_versions": {0: 1},
            "key_fingerprint": "",
            "counts": [
                SealedCount(tenant=t, sku=s, active_users=n, digest=DIGEST) for (t, s), n in counts.items() if n
            ],
            "left_out": [
                {"tenant": t, "sku": s, "kind": kind, "reason": "" if kind == "trial" else "why", "subjects": n}
                for t, s, kind, n in left_out
            ],
        }
    )  # fmt: skip


def adjusted(tenant: str, sku: str, quantity: int, place: int = 1) -> Adjustment:
    return Adjustment(
        place=place, tenant=tenant, sku=sku, quantity=quantity, reason="credit", text="as agreed", actor="alice"
    )


def report(
    counts: dict[tuple[str, str], int], *, of: Catalogue | None = None, month: date = OCTOBER, name: str = "east",
    left_out: Iterable[tuple[str, str, str, int]] = (), revision: int = 1, **more: Any,
) -> Report:  # fmt: skip
    held = of or catalogue()
    basis = Basis(
        catalogue=held, agreement=contract_in(held, name, month), month=month,
        seal=seal(counts, left_out, month, name), **more,
    )  # fmt: skip
    return build(basis, revision, 1)


def found(made: Report, kind: str | None = None) -> list[Finding]:
    return [f for f in made.findings if kind is None or f.kind == kind]


def only(made: Report, id: str) -> Finding:
    [finding] = [f for f in made.findings if f.id == id]
    return finding


def added(made: Report) -> list[Line]:
    """The lines that no tenant has."""
    return [line for line in made.lines if not line.tenant]
