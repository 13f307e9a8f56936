"""`rollcall source` as an operator uses it: its page's commands to the letter, and sources of the catalogue."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from console.main import main
from schemas.settings import Settings
from tests.integration.command import Outcome, environment, rollcall
from tests.log_analytics_server import LogAnalyticsServer, connection
from tests.monitor_server import MonitorServer, session

PAGE = Path(__file__).parents[2] / "docs" / "sources" / "README.md"
OCTOBER = datetime(2026, 10, 5, 9, tzinfo=UTC)


def commands() -> list[list[str]]:
    """The commands of the page's first steps."""
    text = PAGE.read_text("utf-8").split("## From nothing to the first counted user")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """A command in this process: its code, what it printed, what it told."""
    kept = [(each, signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT)]
    monkeypatch.setenv("KEY", "s3cret")
    monkeypatch.setenv("SOURCE_SECRET", "s3cret")

    def run(settings: Settings, *arguments: str) -> Outcome:
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), said.out, said.err)

    yield run
    for each, handler in kept:
        signal.signal(each, handler)


def test_the_first_counted_user(settings: Settings, typed: Callable[..., Outcome], tmp_path: Path) -> None:
    """Three commands from a Monitor URL and a key, two from a CSV with odd columns; a worker drains for both."""
    (check, run, counts), (push, again) = commands()[:3], commands()[3:]
    assert [counts, again] == [["rollcall", "counts", "2026-10"]] * 2
    file = tmp_path / "vpn.csv"
    file.write_text(
        "Who,Where,Started\nalice@customer-a.example,x,2026-10-31 23:59:59\nbob@customer-a.example,y,2026-11-01 00:00\n"
    )
    recent = session(9, datetime.now(UTC) - timedelta(hours=1), "now@customer-a.example")
    with MonitorServer([session(n, OCTOBER, f"user-{n}@customer-a.example") for n in range(3)] + [recent]) as server:
        known = {
            "CUSTOMER": "acme", "CLIENT-ID": "client", "vpn.csv": str(file), "/citrix/eu-1": f"/citrix/{uuid4()}",
            "https://api-eu.cloud.com/monitorodata": server.base,
        }  # fmt: skip
        done = []
        for words in (check, run, push):
            arguments = [known.get(word, word) for word in words[1:]]
            done.append(typed(settings, *arguments, *(["--trust", server.trust] if server.base in arguments else [])))
            assert done[-1].code == 0, done[-1].err
    assert "Finance Desktop" in done[0].out
    assert rollcall(settings, "worker", "--drain").code == 0
    assert counted(typed(settings, *counts[1:])) == 3 + 1


def counted(found: Outcome) -> int:
    numbers = re.findall(r"DAAS-PREM-T1\D+?(\d+)", found.out)
    return int(numbers[0]) if numbers else 0


CATALOGUE = """
programmes:
  p: {{time_zone: Asia/Tokyo}}
tenants:
  - {{id: a, name: A, domains: [customer-a.example]}}
skus:
  - {{id: D, name: D, programme: p, family: f, deployment: cloud}}
sources:
  - source: /citrix/1
    kind: citrix
    reads: {monitor.base}
    settings: {{customer: acme, client: client, secret: "env:KEY", trust: "{monitor.trust}", sku: D,
               since: 2026-10-01, policy: {{user: upn}}}}
  - source: /avd/1
    kind: avd
    reads: {azure.base}
    settings: {{directory: directory, client: client, secret: "env:KEY", trust: "{azure.trust}", sku: D,
               since: 2026-10-01}}
  - source: /guacamole/1
    kind: guacamole
    reads: sqlite:///{folder}/guacamole.db
    settings: {{zone: Asia/Tokyo, sku: D, tenant: a, since: 2026-10-01T00:00:00+09:00}}
  - source: /adc/1
    kind: push
  - source: /citrix/old
    kind: citrix
    reads: https://old.example/monitorodata
    settings: {{client: client, secret: "env:NOBODY"}}
    valid_to: 2026-01
"""


def test_declared_sources(make_settings: Any, typed: Callable[..., Outcome], tmp_path: Path) -> None:
    """No Kafka is asked by list and check; run and backfill send."""
    with sqlite3.connect(tmp_path / "guacamole.db") as broker:
        broker.execute(
            "CREATE TABLE guacamole_connection_history (history_id INTEGER, username TEXT, connection_name TEXT, "
            "sharing_profile_id INTEGER, sharing_profile_name TEXT, start_date DATETIME, end_date DATETIME)"
        )
        for n, time in enumerate(("2026-09-30 23:59:59", "2026-10-01 00:00:00", "2026-10-31 23:59:59")):
            broker.execute(
                "INSERT INTO guacamole_connection_history VALUES (?, ?, 'Desk', NULL, NULL, ?, NULL)",
                (n, f"guest-{n}", f"{time}.000000"),
            )
    rows = [connection(n, OCTOBER, f"azure-{n}@customer-a.example") for n in range(4)]
    with MonitorServer([session(n, OCTOBER, f"u-{n}@customer-a.example") for n in range(3)]) as monitor, \
            LogAnalyticsServer(rows) as azure:
        text = CATALOGUE.format(monitor=monitor, azure=azure, folder=tmp_path)
        settings: Settings = make_settings(text).model_copy(update={"home": tmp_path / "home"})

        def source(*arguments: str) -> Outcome:
            return typed(settings, "source", *arguments)

        done = source("run", "--all", "--once")
        assert done.code == 0, done.err
        for sentence in ("/citrix/1: 3 records read, 3", "/avd/1: 4 records read, 4", "/guacamole/1: "):
            assert sentence in done.err
        assert "/citrix/old" not in done.err
        shown = {row["source"]: row for row in json.loads(source("list", "--format", "json").out)}
        assert list(shown) == ["/citrix/1", "/avd/1", "/guacamole/1", "/adc/1", "/citrix/old"]
        assert shown["/citrix/1"]["watermark"].startswith("2026-10-05")
        assert shown["/adc/1"]["watermark"] is None
        marks = {name: row["watermark"] for name, row in shown.items()}

        back = source("backfill", "/guacamole/1", "2026-09-30T23:00:00+09:00", "2026-10-01T00:00:00+09:00")
        assert (back.code, "1 logins sent" in back.err) == (0, True), back.err
        assert source("backfill", "/citrix/1", "2026-10-05", "2026-10-06").code == 0
        again = {row["source"]: row["watermark"] for row in json.loads(source("list", "--format", "json").out)}
        assert again == marks, "a backfill moves no watermark"
        assert source("check", "/avd/1").code == 0
        for arguments, told in (
            (("run", "/nobody"), "is not declared"), (("check", "/adc/1"), "pushes"), (("run",), "name a declared"),
            (("run", "/citrix/1", "--sku", "D"), "leave out --sku"), (("run", "/citrix/old", "--once"), "no secret"),
            (("backfill", "/citrix/1", "2026-10-06", "2026-10-05"), "no interval"),
            (("run", "citrix", "https://x.example"), "give --source"),
            (("run", "citrix", "https://x.example", "--source", "/c", "--zone", "UTC"), "zone is no setting"),
        ):  # fmt: skip
            refused = source(*arguments)
            assert (refused.code, told in refused.err) == (2, True), (arguments, refused.err)
