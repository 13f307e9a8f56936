"""The dashboards' views against an oracle in Python, on rows that no merge has joined yet, and after merging."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.clickhouse.migrate import views
from infra.secrets import dashboards_password
from schemas.calendar import next_month, zone_named
from schemas.quarantine import REASONS
from schemas.settings import Settings

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


class Row(NamedTuple):
    month: date
    tenant: str
    sku: str
    subject: bytes
    first: tuple[datetime, str, str]
    days: int


Cell = tuple[date, str, str]


def scatter(seed: int) -> list[Row]:
    """Rows of few subjects, so that most stand several times, with days on both edges of the months."""
    rng = random.Random(seed)
    rows = []
    for _ in range(600):
        month = rng.choice([OCTOBER, NOVEMBER])
        last = (next_month(month) - timedelta(days=1)).day
        day = rng.choice([1, 2, 15, last])
        time = datetime(month.year, month.month, day, tzinfo=UTC) + timedelta(microseconds=rng.randrange(10**6))
        subject = rng.randrange(40).to_bytes(16, "big")
        first = (time, f"/broker/{rng.randrange(3)}", f"{rng.random()}")
        rows.append(Row(month, rng.choice("ab"), rng.choice("XYZ"), subject, first, 1 << day))
    return rows


def store(client: Client, rows: list[Row]) -> None:
    client.command("SYSTEM STOP MERGES active_users")
    for start in range(0, len(rows), 50):
        client.insert("active_users", [[*row, 0] for row in rows[start : start + 50]])


def rows_of(client: Client, query: str) -> set[tuple[Any, ...]]:
    found = client.query(query).result_rows
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("merged", [False, True])
def test_counts_days_and_spans(client: Client, merged: bool) -> None:
    rows = scatter(seed=20261101)
    store(client, rows)
    if merged:
        client.command("SYSTEM START MERGES active_users")
        client.command("OPTIMIZE TABLE active_users FINAL")
    subjects: dict[Cell, set[bytes]] = defaultdict(set)
    days: dict[tuple[date, str, str], set[bytes]] = defaultdict(set)
    spans: dict[Cell, tuple[datetime, str, date]] = {}
    for r in rows:
        cell = (r.month, r.tenant, r.sku)
        day = r.month + timedelta(days=r.days.bit_length() - 2)
        subjects[cell].add(r.subject)
        days[day, r.tenant, r.sku].add(r.subject)
        first, source, last = spans.get(cell, (r.first[0], r.first[1], day))
        if r.first[0] < first:
            first, source = r.first[0], r.first[1]
        spans[cell] = (first, source, max(last, day))

    assert rows_of(client, "SELECT * FROM active_users_by_month") == {(*c, len(s)) for c, s in subjects.items()}
    assert rows_of(client, "SELECT day, tenant, sku, active_users FROM active_users_by_day") == {
        (*c, len(s)) for c, s in days.items()
    }
    assert rows_of(client, "SELECT * FROM active_users_by_day WHERE month = '2026-11-01' AND day > '2026-11-14'") == {
        (*c, len(s), NOVEMBER) for c, s in days.items() if c[0] > date(2026, 11, 14)
    }
    assert rows_of(client, "SELECT * FROM login_span") == {
        (*c, first.replace(tzinfo=None), source, last) for c, (first, source, last) in spans.items()
    }


def test_the_running_estimate_is_of_the_programmes_own_month(client: Client) -> None:
    zones = ("Pacific/Kiritimati", "Asia/Tokyo", "UTC", "America/New_York", "Etc/GMT+12")
    for version in (1, 2):  # of version 1 every SKU had another name and zone
        client.insert("catalogue_skus", [
            [version + 1, zone, f"{zone} {version}", "p", zone if version == 2 else "UTC", "F", "cloud", "user"]
            for zone in zones
        ])  # fmt: skip
    now = datetime.now(UTC)
    months = {zone: now.astimezone(zone_named(zone)).date().replace(day=1) for zone in zones}
    nearby = {now.date().replace(day=1) + timedelta(days=d) for d in (-1, 0, 31)}
    first = (now, "/broker", "1")
    store(client, [
        Row(month.replace(day=1), "customer-b", zone, n.to_bytes(16, "big"), first, 2)
        for zone in (*zones, "unknown") for month in nearby for n in (1, 2, 2)
    ])  # fmt: skip
    found = rows_of(client, "SELECT month, tenant, tenant_name, sku, sku_name, time_zone, active_users "
                            "FROM running_estimate")  # fmt: skip
    assert found == {
        (months[zone], "customer-b", "Customer B GmbH", zone, f"{zone} 2", zone, 2) for zone in zones
    } | {(months["UTC"], "customer-b", "Customer B GmbH", "unknown", "", "UTC", 2)}


def test_ingest_lag_shows_the_newest_of_the_newest_topic(client: Client) -> None:
    columns = ["topic_id", "partition", "next_offset", "end_offset", "append_time", "stored_at"]
    appended = datetime(2026, 11, 1, 12, tzinfo=UTC)
    for topic, partition, offset, end, second in (
        ("old", 0, 900, 900, 0), ("new", 0, 10, 30, 1), ("new", 0, 20, 31, 2), ("new", 1, 5, 4, 2),
    ):  # fmt: skip
        stored = appended + timedelta(seconds=second)
        client.insert("ingest_progress", [[topic, partition, offset, end, appended, stored]], column_names=columns)
    query = "SELECT partition, next_offset, end_offset, records_behind, topic_id FROM ingest_lag"
    assert rows_of(client, query) == {(0, 20, 31, 11, "new"), (1, 5, 4, 0, "new")}
    [[appended_at, waited]] = client.query(
        "SELECT newest_append_time, seconds_since_stored - dateDiff('second', stored_at, now()) FROM ingest_lag "
        "WHERE partition = 0"
    ).result_rows
    assert appended_at == appended.replace(tzinfo=None)
    assert waited == pytest.approx(0, abs=2)


def test_quarantine_counts_an_event_once_under_its_latest_state(client: Client) -> None:
    event = datetime(2026, 9, 30, 23, 59, tzinfo=UTC)
    for offset, latest, source, time in (
        (1, (0, 1, "bad_time", ""), "unknown", None),
        (2, (0, 1, "unknown_sku", "x"), "/a", event),
        (2, (0, 1, "unknown_sku", "x"), "/a", event),
        (2, (1, 3, "unknown_sku", "x"), "/a", event),
        (3, (0, 1, "unknown_sku", "y"), "/a", event),
        (4, (1, 4, "", ""), "", None),  # a counted replay of something that is not known here
    ):
        append = datetime(2262, 1, 1, tzinfo=UTC) if offset == 4 else datetime(2026, 11, 1, tzinfo=UTC)
        client.insert("quarantine", [["t", 0, offset, 0, latest, source, time, append]])
    assert rows_of(client, "SELECT * FROM quarantine_by_reason") == {
        (date(2026, 11, 1), "append", "unknown", "bad_time", "quarantined", 1),
        (date(2026, 9, 1), "event", "/a", "unknown_sku", "replayed", 1),
        (date(2026, 9, 1), "event", "/a", "unknown_sku", "quarantined", 1),
    }


def test_closes_marks_the_newest_revision(client: Client) -> None:
    for month, revision, number, users in ((OCTOBER, 1, 4, 3), (OCTOBER, 2, 6, 5), (NOVEMBER, 1, 7, 2)):
        client.command(
            "INSERT INTO seals (month, agreement, revision, close_number, digest, counts) VALUES "
            f"('{month}', 'p', {revision}, {number}, 'd{number}', [('a', 'X', {users}, ''), ('b', 'X', 1, '')])"
        )
    query = "SELECT month, agreement, revision, close_number, digest, active_users, newest FROM closes"
    assert rows_of(client, query) == {
        (OCTOBER, "p", 1, 4, "d4", 4, False), (OCTOBER, "p", 2, 6, "d6", 6, True), (NOVEMBER, "p", 1, 7, "d7", 3, True),
    }  # fmt: skip


def test_the_dashboards_account_reads_every_view_and_changes_nothing(settings: Settings) -> None:
    c = settings.clickhouse
    with clickhouse_connect.get_client(
        host=c.url.host, port=c.url.port, username="dashboards", password=dashboards_password(settings),
        database=c.database, autogenerate_session_id=False,
    ) as client:
        for view in views():
            client.query(f"SELECT * FROM {view.name}")
        with pytest.raises(ClickHouseError):
            client.command("DROP VIEW closes")
        with pytest.raises(ClickHouseError):
            client.insert("close_numbers", [[1, OCTOBER]], column_names=["number", "month"])


def test_every_view_and_column_says_what_it_is(client: Client) -> None:
    for view in views():
        assert view.text.startswith(f"-- {view.name}: ")
    found = client.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND table IN "
        "(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View')"
    ).result_rows
    assert found == []
    found = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND comment = ''"
    ).result_rows
    assert found == []


def test_the_documentation_holds(settings: Settings, client: Client) -> None:
    """docs/sql.md names every view with its columns in order, every reason, and samples that run."""
    text = (Path(__file__).parents[2] / "docs" / "sql.md").read_text("utf-8")
    documented = dict(re.findall(r"^## (\w+)\n\n`([^`]+)`\n", text, re.MULTILINE))
    actual = {
        view.name: ", ".join(row[0] for row in client.query(f"DESCRIBE TABLE {view.name}").result_rows)
        for view in views()
    }
    assert documented == actual
    for reason, what in REASONS.items():
        assert f"| `{reason}` | {what} |" in text
    samples = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(samples) == len(actual)
    for sample in samples:
        client.query(sample.replace("rollcall.", f"{settings.clickhouse.database}."))
