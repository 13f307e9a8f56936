"""What the dashboards ask, asked: every panel answers with rows about a month that was closed, reported and rebuilt."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import clickhouse_connect
import pytest
from prometheus_client.exposition import generate_latest

from infra.secrets import dashboards_password
from schemas.ledger import Acknowledged, Rejected
from stream_jobs.month_close.report.act import adjust, waive
from stream_jobs.month_close.report.approve import approve
from stream_jobs.status.exporter import registry
from tests.integration.closing import CATALOGUE, OCTOBER, Login, World
from tests.integration.conftest import MakeSettings
from tests.integration.test_reports import AGREEMENTS, AT, RULES, close, draft, send
from tests.panels import ALL, alerts, filled, promql, scrape, sql, unanswered
from tests.promql import Series

SINCE, UNTIL = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)
SOURCES = "sources: [{source: /broker/0, kind: push, rhythm: {silent_after: 1h}}]\n"
NOTHING_THERE = {"rollcall-close: Unknown submissions", "rollcall-close: Blocking findings"}
"""Counts that are 0 here; a row all the same."""


@pytest.fixture
def world(make_settings: MakeSettings) -> World:
    """October is closed, reported, corrected (a login was late), and counted by somebody else too."""
    settings = make_settings(CATALOGUE + AGREEMENTS + RULES + SOURCES, kafka={"partitions": 1})
    world, today = World(settings), datetime.now(UTC).date()
    months = ("2026-09", "2026-10", f"{today:%Y-%m}")
    world.push(*[Login(tenant, "S1", f"u{n}", month) for n in range(3) for tenant in "ab" for month in months])
    close(world)
    draft(world)
    adjust(
        settings, world.client, OCTOBER, "acme", tenant="a", sku="S1", quantity=4_000, reason="other", text="by hand",
        actor="alice", at=AT,
    )  # fmt: skip
    approve(settings, world.client, OCTOBER, "acme", at=AT)
    send(world, Acknowledged(revision=1, receipt="R-1"))
    appended = datetime(2026, 10, 9, tzinfo=UTC)
    world.client.insert("quarantine", [
        [world.topic_id, 0, 1_000 + n, 0, (0, state, "unknown_sku", "x"), f"/broker/{n % 2}", appended, appended]
        for n, state in enumerate((1, 1, 1, 2, 3, 4))
    ])  # fmt: skip
    world.push(Login("a", "S1", "late"))
    close(world)
    draft(world)
    world.client.insert(
        "quarantine_caps", [("/broker/0", 1, "trip", 10, 9)], ("source", "number", "action", "events", "refused")
    )
    world.client.insert(
        "ingest_progress", [[world.topic_id, 0, 10, 30, appended, appended]],
        column_names=["topic_id", "partition", "next_offset", "end_offset", "append_time", "stored_at"],
    )  # fmt: skip
    world.client.insert(
        "other_counts", [[uuid.uuid4(), OCTOBER, "portal", "0" * 64, "alice", "a", "S1", 9, 7, 2]],
        column_names=["import_id", "month", "origin", "sha256", "actor", "tenant", "sku", "total", "paid", "free"],
    )  # fmt: skip
    return world


def test_every_panel_answers(world: World) -> None:
    series = Series()

    def lacking(time: float) -> list[str]:
        made = registry(world.settings)  # one looks at reports once a minute
        scrape(series, generate_latest(made).decode(), time, job="rollcall-month", instance="m")
        return unanswered(series, time, lambda asked: asked.of_the_month)

    assert sum(asked.of_the_month for asked in (*promql(), *alerts())) >= 15
    lacking(0.0)
    assert lacking(60.0) == ["alerts: RollcallReportRejected"]

    world.client.insert(
        "generations", [[2, "active_users", OCTOBER, "wrong SKU", "alice"]],
        column_names=["number", "table_name", "month", "reason", "actor"],
    )  # fmt: skip
    empty: set[str] = set()
    c = world.settings.clickhouse
    with clickhouse_connect.get_client(
        host=c.url.host, port=c.url.port, username="dashboards", password=dashboards_password(world.settings),
        database=c.database, autogenerate_session_id=False,
    ) as client:  # fmt: skip
        for asked in sql():
            for tenant in (ALL, "a"):
                text = filled(asked.query, {"month": "2026-10", "tenant": tenant}, SINCE, UNTIL)
                found = client.query(text)
                if not any(value not in (None, 0, "") for row in found.result_rows for value in row):
                    empty.add(str(asked))
                assert not asked.over_time or found.column_types[0].base_type == "DateTime", asked
    assert empty == NOTHING_THERE

    for finding in draft(world).findings:
        waive(
            world.settings, world.client, OCTOBER, "acme", finding=finding.id, reason="known-and-harmless", text="t",
            actor="bob", at=AT,
        )  # fmt: skip
    approve(world.settings, world.client, OCTOBER, "acme", at=AT)
    send(world, Rejected(revision=2, reason="no such customer"))
    assert lacking(120.0) == []
