"""Reconciliation on the real engine: the causes' figures, each from rows whose story the test knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect
from infra.errors import CheckFailed
from schemas.reconciliation import Comparison
from schemas.settings import Settings
from stream_jobs.month_close.reconcile.column_map import parse_map
from stream_jobs.month_close.reconcile.desk import reconcile
from tests.integration.command import rollcall

OCTOBER = date(2026, 10, 1)
CATALOGUE = """
programmes: {csp: {time_zone: Asia/Tokyo}, spla: {time_zone: America/New_York}}
tenants: [{id: a, name: Customer A}, {id: b, name: Customer B, fold_case: false}]
skus:
  - {id: S1, name: one, programme: csp, family: f, deployment: cloud}
  - {id: S2, name: two, programme: csp, family: f, deployment: cloud}
  - {id: L1, name: lic, programme: spla, family: f, deployment: cloud}
"""
MAP = "{origin: broker, tenant: {column: t}, sku: {column: s}, paid: {column: paid}, free: {column: free}}"


class Table:
    """Rows of active_users and a seal, as a worker and a close would have stored them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def login(self, tenant: str, sku: str, name: str, time: str, recorded_in: int = 0, zone_day: int = 15) -> None:
        """One login; `zone_day` is its day of the month in the programme's zone, and of `month` the month."""
        at = datetime.fromisoformat(time).replace(tzinfo=UTC)
        month = OCTOBER
        if zone_day < 0:  # the last days of the month before
            month, zone_day = date(2026, 9, 1), -zone_day
        elif at >= datetime(2026, 10, 31, 15, tzinfo=UTC) and sku != "L1":
            month = date(2026, 11, 1)
        subject = hashlib.sha256(f"{tenant}/{name}".encode()).digest()[:16]
        self._client.insert(
            "active_users", [[month, tenant, sku, subject, (at, "/x", name), 1 << zone_day, recorded_in]],
            column_names=["month", "tenant", "sku", "subject", "first_event", "active_days", "recorded_in"],
        )  # fmt: skip
        self._client.insert("subject_names", [[tenant, subject, name]], column_names=["tenant", "subject", "name"])

    def seal(self, counts: dict[tuple[str, str], int], left_out: list[tuple[str, str, str, str, int]]) -> None:
        row: dict[str, Any] = {
            "month": OCTOBER, "agreement": "csp", "revision": 1, "close_number": 1, "time_zone": "Asia/Tokyo",
            "digest": "0" * 64, "counts": [(t, s, n, "0" * 64) for (t, s), n in counts.items()], "cluster_id": "c",
            "topic_id": "t", "generation": 1, "offsets": {0: 1}, "append_times": {},
            "catalogue_versions": {0: 1}, "key_fingerprint": "", "left_out": left_out,
        }  # fmt: skip
        self._client.insert("seals", [list(row.values())], column_names=list(row))


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(CATALOGUE)


@pytest.fixture
def table(settings: Settings) -> Table:
    return Table(connect(settings))


def compared(settings: Settings, csv: str, agreement: str | None = None, how: str = MAP) -> Comparison:
    return reconcile(
        settings, OCTOBER, csv.encode(), parse_map(how), name="counts.csv", actor="alice", agreement=agreement
    )


def told(found: Comparison) -> dict[tuple[str, str], tuple[int, int, list[tuple[str, int | None, bool]]]]:
    return {
        (c.tenant, c.sku): (c.ours, c.theirs, [(x.kind, x.figure, x.explains) for x in c.causes]) for c in found.cells
    }


def test_a_month_that_is_closed_and_one_that_is_not(settings: Settings, table: Table, tmp_path: Path) -> None:
    for user in ("u1@a.example", "u2@a.example", "u2@other.example"):
        table.login("a", "S1", user, "2026-10-15T03:00")
    table.login("a", "S1", "late", "2026-10-16T03:00", recorded_in=1)
    # Cut in UTC, this one's only login is in September, and the next one's in October.
    table.login("a", "S2", "early", "2026-09-30T20:00", zone_day=1)
    table.login("a", "S2", "stays", "2026-10-15T03:00")
    table.login("b", "S2", "next", "2026-10-31T20:00", zone_day=1)
    table.login("b", "S2", "stays", "2026-10-15T03:00")
    for user in ("Bob", "bob"):
        table.login("b", "S1", user, "2026-10-15T03:00")
    # In New York these are the last days of September, and of October.
    table.login("a", "L1", "before", "2026-10-01T02:00", zone_day=-30)
    table.login("a", "L1", "last", "2026-11-01T02:00", zone_day=31)
    table.login("a", "L1", "only", "2026-10-15T03:00")
    table.seal({("a", "S1"): 3, ("a", "S2"): 2, ("b", "S2"): 1, ("b", "S1"): 2}, [("b", "S1", "free", "own-staff", 4)])

    csv = "t,s,paid,free\na,S1,4,\na,S2,1,\nb,S2,2,\nb,S1,1,\na,L1,2,\nNot Linked,S1,1,\n"
    found = compared(settings, csv)
    assert told(found) == {
        ("Not Linked", "S1"): (0, 1, [("unknown_tenant", 1, True)]),
        ("a", "L1"): (2, 2, []),
        ("a", "S1"): (3, 4, [("late", 1, True)]),
        ("a", "S2"): (2, 1, [("time_zone", -1, True)]),
        ("b", "S1"): (2, 1, [("unlinked", 1, True), ("case", 1, True), ("domain", 1, True)]),
        ("b", "S2"): (1, 2, [("time_zone", 1, True)]),
    }
    assert found.stands_on == [
        "csp: revision 1 of its seal, close 1", "spla: not closed, so as known now, before anything is left out",
    ]  # fmt: skip
    assert [(c.tenant, c.sku) for c in compared(settings, csv, "spla").cells] == [("a", "L1")]
    with pytest.raises(CheckFailed, match="no count of spla"):
        compared(settings, "t,s,paid,free\na,S1,4,\n", "spla")

    [more] = compared(settings, "t,s,paid,free\na,L1,1,\n").cells
    [cause] = more.causes
    assert cause.text == "cut in UTC, the month would lose up to 1 subject and gain up to 1"
    [fewer] = [c for c in compared(settings, "t,s,paid,free\na,S1,2,\n").cells if c.tenant == "a"]
    assert [(c.kind, c.figure, c.explains) for c in fewer.causes] == [("domain", 1, True)]

    view = "SELECT tenant, sku, theirs, ours, difference FROM reconciliations ORDER BY tenant, sku"
    assert connect(settings).query(view).result_rows == [("a", "S1", 2, 3, -1)]  # of the newest import
    found = compared(settings, "t,s,paid,free\nb,S1,6,\n")
    assert told(found) == {("a", "S1"): (3, 0, []), ("b", "S1"): (2, 6, [("free_users", 4, True)])}
    assert [c.our_free for c in found.cells] == [0, 4]
    stored = connect(settings).query("SELECT count(), uniqExact(import_id) FROM other_counts").result_rows
    compared(settings, csv)
    assert connect(settings).query("SELECT count(), uniqExact(import_id) FROM other_counts").result_rows == stored

    (tmp_path / "map.yaml").write_text(MAP)
    (tmp_path / "counts.csv").write_text("t,s,paid,free\na,L1,3,\n")
    done = rollcall(
        settings, "reconcile", "2026-10", str(tmp_path / "counts.csv"), "--map", str(tmp_path / "map.yaml"),
        "--format", "csv",
    )  # fmt: skip
    assert done.code == 1, done.err
    assert done.out.splitlines()[1].startswith("2026-10,a,L1,2,3,1,0,,")
