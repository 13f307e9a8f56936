"""The Citrix Monitor reader against a service that speaks the real protocol on loopback. No Kafka: what is sent goes to
a file. tests/faults/readers.py kills it.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError, OutOfReach
from producers.polling.brokers import open_broker
from producers.polling.watermark import Watermark
from schemas.source_settings import source_settings
from tests.monitor_server import MonitorServer, session, some_sessions
from tests.polled import BEGIN, poll

SECOND = timedelta(seconds=1)


def sent(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "sent").read_bytes().split(b"\n")
    return [json.loads(line) for line in lines if line.endswith(b"}") and line.startswith(b"{")]


def keys(server: MonitorServer) -> set[str]:
    return {one["SessionKey"] for one in server.sessions}


def test_pages_faults_and_expiring_tokens(tmp_path: Path) -> None:
    with MonitorServer(some_sessions(950, BEGIN, step=SECOND, users=40), token_queries=3) as server:
        server.faults = [429, None, "drop", None, "cut", 504, None, 503]
        tally = poll(server, tmp_path)
    assert {event["id"] for event in sent(tmp_path)} == keys(server)
    assert {event["subject"] for event in sent(tmp_path)} == {f"user-{n}@customer-a.example" for n in range(40)}
    assert (server.overlapping, server.faults) == (0, [])
    assert len(server.tokens) >= 4, "a token is renewed when it is refused"
    assert tally.mark == BEGIN + 949 * SECOND
    assert not [query for query in server.queries if "elsewhere" in query]


def test_a_session_that_is_modified_while_pages_are_read_costs_no_neighbour(tmp_path: Path) -> None:
    with MonitorServer(some_sessions(500, BEGIN, step=SECOND, users=500)) as server:

        def modify(number: int) -> None:
            for one in server.sessions[number * 20: number * 20 + 7]:  # read already, or not yet
                one["ModifiedDate"] = (BEGIN + timedelta(hours=1, seconds=number)).isoformat().replace("+00:00", "Z")

        server.before_page = modify
        poll(server, tmp_path)
    assert {event["id"] for event in sent(tmp_path)} == keys(server)


def test_a_page_of_one_moment_is_followed_by_its_link(tmp_path: Path) -> None:
    alike = [session(n, BEGIN, f"u{n}") for n in range(250)] + [session(900, BEGIN + SECOND, "last")]
    with MonitorServer(alike) as server:
        poll(server, tmp_path)
        assert any("$skip=100" in query for query in server.queries)
    assert {event["id"] for event in sent(tmp_path)} == keys(server)


def test_the_next_poll_reads_from_before_its_watermark(tmp_path: Path) -> None:
    with MonitorServer(some_sessions(150, BEGIN, step=SECOND, users=9)) as server:
        poll(server, tmp_path)
        server.sessions.append(session(7000, BEGIN + timedelta(seconds=100), "late@customer-a.example"))
        server.sessions.append(session(7001, BEGIN + timedelta(hours=2), "new@customer-a.example"))
        tally = poll(server, tmp_path)
    assert {"late@customer-a.example", "new@customer-a.example"} <= {event["subject"] for event in sent(tmp_path)}
    assert tally.mark == BEGIN + timedelta(hours=2)


def test_refused_records_are_kept_once(tmp_path: Path) -> None:
    with MonitorServer([session(1, BEGIN, "a"), session(2, BEGIN + SECOND, "", User=None)]) as server:
        assert [poll(server, tmp_path).refused for _ in range(2)] == [1, 1]
    [line] = (tmp_path / "citrix_eu.rejects").read_text().splitlines()
    assert json.loads(line) == server.sessions[1]


@pytest.mark.parametrize(("faults", "change", "error", "told"), [
    ([429] * 9, {}, OutOfReach, "asked 8 times .it answered 429"),
    ([400], {}, ConfigurationError, "is the URL right"), ([404], {}, ConfigurationError, "is the URL right"),
    ([403], {}, ConfigurationError, "refuses the key"), ([], {"secret": "wrong"}, ConfigurationError, "gives no token"),
    (["hang"] * 3, {"seconds": 0.05, "tries": 2}, OutOfReach, "asked 2 times"),
])  # fmt: skip
def test_what_it_says_when_it_cannot_go_on(
    tmp_path: Path, faults: list[int | str | None], change: dict[str, Any], error: type[Exception], told: str
) -> None:
    with MonitorServer([session(1, BEGIN, "a")], faults=faults) as server, pytest.raises(error, match=told):
        poll(server, tmp_path, **change)
    assert not (tmp_path / "citrix_eu.json").exists()


def test_a_query_that_is_too_slow_is_asked_again_for_less_time(tmp_path: Path) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
    with MonitorServer(some_sessions(19 * 24, begin, step=timedelta(hours=1), users=40)) as server:
        server.widest = timedelta(days=2)
        tally = poll(server, tmp_path, since=begin)
        assert {event["id"] for event in sent(tmp_path)} == keys(server)
        assert tally.mark == begin + (19 * 24 - 1) * timedelta(hours=1)
        slow = [query for query in server.queries if server._asks_for(query) > server.widest]
        assert 0 < len(slow) < len(server.queries) / 2
        assert "ModifiedDate lt" not in server.queries[-1], "the newest are not left out"
        server.widest = timedelta(minutes=1)
        with pytest.raises(OutOfReach, match="does not answer in time"):
            poll(server, tmp_path, since=begin)


def test_retry_after_is_waited_for_as_told(tmp_path: Path) -> None:
    waited: list[float] = []
    with MonitorServer([session(1, BEGIN, "a")], faults=[429], retry_after="17") as server:
        poll(server, tmp_path, sleep=waited.append)
        assert waited == [17.0]
        server.faults, server.retry_after = [429], "Sun, 01 Nov 2026 00:00:30 GMT"
        poll(server, tmp_path, sleep=waited.append, now=lambda: datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    assert waited == [17.0, 30.0]


def test_readers_of_one_customer_ask_by_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two declared sources, or a source that is checked while it is polled."""
    monkeypatch.setenv("KEY", "s3cret")
    with MonitorServer(some_sessions(60, BEGIN, step=SECOND, users=9), page=5) as server:
        server.before_page = lambda number: time.sleep(0.01)
        given = {"client": "client", "secret": "env:KEY", "customer": "acme", "trust": server.trust}
        brokers = [open_broker(server.base, source_settings("citrix", given), tmp_path) for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            read = [[len(portion.records) for portion in found]
                    for found in pool.map(lambda broker: list(broker.since(BEGIN)), brokers)]  # fmt: skip
    assert [len(pages) > 12 for pages in read] == [True] * 3
    assert server.overlapping == 0


def test_two_readers_of_one_source_are_one_too_many(tmp_path: Path) -> None:
    with Watermark(tmp_path, "a"), pytest.raises(ConfigurationError, match="is being read by another process"):
        Watermark(tmp_path, "a")
    (tmp_path / "a.json").write_text("{}")
    with Watermark(tmp_path, "a") as watermark, pytest.raises(ConfigurationError, match="remove it"):
        _ = watermark.mark
