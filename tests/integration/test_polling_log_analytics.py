"""The Log Analytics reader against a service on loopback that speaks the real protocol. No Kafka: sent to a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3

from infra.errors import CheckFailed, ConfigurationError, OutOfReach
from producers.adapters.adapter import AdapterOptions
from producers.adapters.avd import AvdAdapter
from producers.polling.log_analytics import EntraLogin, Workspace, connections
from producers.polling.reader import Refusals, Tally, read
from producers.polling.watermark import Watermark
from tests.log_analytics_server import LogAnalyticsServer, connection
from tests.polled import BEGIN, FileSender

SECOND = timedelta(seconds=1)


def some(number: int, *, users: int = 40) -> list[dict[str, Any]]:
    return [connection(n, BEGIN + n * SECOND, f"user-{n % users}@customer-a.example") for n in range(number)]


def workspace(
    server: LogAnalyticsServer, sleep: Callable[[float], None] = lambda _: None, secret: str = "s3cret"
) -> Workspace:
    http = urllib3.PoolManager(maxsize=1, block=True)
    login = EntraLogin("directory", "client", secret, http, server.trust, server.trust)
    return Workspace(server.base, login, http, sleep=sleep)


def poll(server: LogAnalyticsServer, folder: Path, *, portion: int = 100, **change: Any) -> Tally:
    with Watermark(folder, "avd") as watermark:
        start = watermark.mark - timedelta(minutes=90) if watermark.mark else BEGIN
        return read(
            connections(workspace(server, **change), start, portion=portion), AvdAdapter(AdapterOptions()),
            FileSender(folder / "sent"), watermark, Refusals(folder / "avd.rejects"), source="/avd/1",
        )  # fmt: skip


def sent(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "sent").read_bytes().splitlines()]


def ids(server: LogAnalyticsServer) -> set[str]:
    return {row["CorrelationId"] for row in server.rows if row["State"] == "Connected"}


def test_portions_faults_partial_results_and_expiring_tokens(tmp_path: Path) -> None:
    rows = [*some(950), connection(5000, BEGIN, "never@customer-a.example", State="Started")]
    with LogAnalyticsServer(rows, token_queries=3) as server:
        server.faults = [429, None, "drop", None, "cut", 504, None, "partial", None, 503]
        tally = poll(server, tmp_path)
    assert {event["id"] for event in sent(tmp_path)} == ids(server)
    assert {event["subject"] for event in sent(tmp_path)} == {f"user-{n}@customer-a.example" for n in range(40)}
    assert server.faults == []
    assert len(server.tokens) >= 4, "a token is renewed when it is refused"
    assert tally.mark == BEGIN + 949 * SECOND + timedelta(minutes=3), "when the last row was stored"
    assert sent(tmp_path)[0]["data"]["product"] == "rg-avd-jp/hp-finance"


def test_partial_results_ask_for_less(tmp_path: Path) -> None:
    with LogAnalyticsServer(some(600), partial_above=250) as server:
        tally = poll(server, tmp_path, portion=800)
    assert {event["id"] for event in sent(tmp_path)} == ids(server)
    assert tally.sent >= 600


def test_a_row_that_azure_stores_hours_late_is_read_by_the_next_poll(tmp_path: Path) -> None:
    with LogAnalyticsServer(some(50)) as server:
        poll(server, tmp_path)
        server.rows.append(connection(7000, BEGIN, "late@customer-a.example", late=timedelta(hours=30)))
        poll(server, tmp_path)
    assert "late@customer-a.example" in {event["subject"] for event in sent(tmp_path)}


def test_a_portion_of_one_moment(tmp_path: Path) -> None:
    rows = [connection(n, BEGIN, f"u{n}@customer-a.example") for n in range(250)]
    rows.append(connection(900, BEGIN + SECOND, "last@customer-a.example"))
    with LogAnalyticsServer(rows) as server:
        poll(server, tmp_path)
    assert {event["id"] for event in sent(tmp_path)} == ids(server)


def test_an_interval_is_read_by_the_connections_own_time(tmp_path: Path) -> None:
    late = connection(999, BEGIN + SECOND, "late@customer-a.example", late=timedelta(hours=40))
    with LogAnalyticsServer([*some(300), late]) as server:
        found = [
            row["CorrelationId"] for portion in connections(workspace(server), BEGIN, BEGIN + 100 * SECOND, portion=70)
            for row in portion.records
        ]  # fmt: skip
        wanted = {row["CorrelationId"] for row in server.rows[:100]} | {server.rows[-1]["CorrelationId"]}
    assert set(found) == wanted


@pytest.mark.parametrize(("faults", "change", "error", "told"), [
    ([429] * 9, {}, OutOfReach, "asked 8 times .it answered 429"), ([400], {}, ConfigurationError, "is the URL right"),
    ([403], {}, ConfigurationError, "refuses the key"), ([], {"secret": "wrong"}, ConfigurationError, "gives no token"),
    (["partial"] * 9, {}, CheckFailed, "partial results, even of 100 rows"),
])  # fmt: skip
def test_what_it_says_when_it_cannot_go_on(
    tmp_path: Path, faults: list[int | str | None], change: dict[str, Any], error: type[Exception], told: str
) -> None:
    with LogAnalyticsServer(some(5), faults=faults) as server, pytest.raises(error, match=told):
        poll(server, tmp_path, **change)
    assert not (tmp_path / "avd.json").exists()


def test_retry_after_is_waited_for_as_told(tmp_path: Path) -> None:
    waited: list[float] = []
    with LogAnalyticsServer(some(5), faults=[429], retry_after="17") as server:
        poll(server, tmp_path, sleep=waited.append)
    assert waited == [17.0]
