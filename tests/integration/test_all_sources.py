"""A provider with every kind of source at once: two months, counted to the user; then one source falls silent."""

from __future__ import annotations

import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect
from infra.local.ports import LOOPBACK, free_port
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from infra.waiting import wait_until
from schemas.settings import Settings
from tests.integration.command import inside, rollcall, start
from tests.integration.gateway import Gateway, running
from tests.sources.people import DESK, MONTHS, SEPTEMBER, A, B, Cell, folded, missed_hours, truth
from tests.sources.provider import Provider

SEED = 20261123


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Commands in this process take signals over."""
    kept = [(each, signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT)]
    yield
    for each, handler in kept:
        signal.signal(each, handler)


@pytest.mark.usefixtures("_handlers")
def test_all_sources_at_once(
    make_settings: Any, stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    provider, home = Provider(SEED, tmp_path), tmp_path / "home"
    home.mkdir()
    (home / "secrets").symlink_to(stack.home / "secrets")
    with provider.monitor, provider.azure:
        settings: Settings = make_settings(
            provider.catalogue, home=home, kafka={"partitions": 2},
            gateway={"port": free_port(), "metrics_port": 0},
        )  # fmt: skip
        client = connect(settings)
        with running(settings) as gateway:
            for month in MONTHS:
                read(provider, settings, gateway, month)
                findings = closed(settings, client, month)
                assert apart(sealed(provider, settings, client, month), expected(provider, month)) == {}
                assert client.query("SELECT count() FROM quarantine_by_reason").result_rows == [(0,)]
                if month == SEPTEMBER:
                    assert findings == {}, findings
    assert provider.monitor.overlapping == 0
    assert len(provider.monitor.tokens) > 2, "tokens ended and were renewed"

    silent = findings.pop("silent_source:/avd/1")
    assert findings == {}
    assert silent["severity"] == "blocking"
    assert f"silent for {missed_hours()}h of its expected hours of 2026-10" in silent["text"]
    assert "(2026-10-14 11:00 to 2026-10-20 10:00, Asia/Tokyo)" in silent["text"]


def read(provider: Provider, settings: Settings, gateway: Gateway, month: date) -> None:
    """All that the brokers tell in a month, by `rollcall`: polled, pushed, listened to and over the gateway."""

    def typed(*arguments: str) -> None:
        done = inside(settings, *arguments)
        assert done.code == 0, (arguments, done.err)

    def poll() -> None:
        provider.monitor.faults, provider.monitor.token_queries = [None, 429], 3
        typed("source", "run", "--all", "--once")

    with listening(settings, provider.syslog_port):
        provider.tell(month, late=False)
        poll()
        if month == SEPTEMBER:
            provider.tell(month, late=True)
            poll()
            for name in ("/avd/1", "/horizon/1", "/guacamole/1"):  # its times lie before what a poll reads again
                typed("source", "backfill", name, "2026-08-30", "2026-10-02")
        for arguments in provider.pushes(month):
            typed("push", *arguments)
        provider.send_syslog(month, provider.syslog_port)
        over_the_gateway(provider, settings, gateway, month)


def over_the_gateway(provider: Provider, settings: Settings, gateway: Gateway, month: date) -> None:
    given = inside(settings, "gateway", "key", "add", f"portal-{month}", "--source", "/portal/1", "--tenant", A,
                   "--tenant", B)  # fmt: skip
    token = given.out.split()[-1]
    assert wait_until(lambda: gateway.post([], token=token).status != 401, 10.0)
    for batch in provider.batches(month):
        said = gateway.post(batch, token=token)
        refused = [event["id"] for event in batch if "+" not in event["time"]]
        assert said.status in (202, 207), said
        assert [each["id"] for each in said.body["refusals"]] == refused


@contextmanager
def listening(settings: Settings, port: int) -> Iterator[None]:
    """`rollcall source run` of the syslog listener, which has sent what it took when the block is left."""
    process = start(settings, "source", "run", "/horizon/2")
    try:
        assert wait_until(lambda: answers(port), 30.0, pause=0.05)
        yield
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def closed(settings: Settings, client: Client, month: date) -> dict[str, dict[str, Any]]:
    """The findings of the month's report, by their id."""
    outcome = rollcall(settings, "close", f"{month:%Y-%m}", "--drain")
    assert outcome.code == 0, outcome.err
    [[draft]] = client.query(
        "SELECT argMax(json, draft) FROM reports WHERE month = {m:Date}", parameters={"m": month}
    ).result_rows
    return {finding["id"]: finding for finding in json.loads(draft)["findings"]}


Sealed = dict[Cell, Counter[str]]
"""By month, tenant and SKU: who is counted, by number of the person or name of the instance, and how often."""


def apart(found: Sealed, wanted: Sealed) -> dict[Cell, tuple[Counter[str], Counter[str]]]:
    """Who is missing, and who is too many."""
    none = Counter[str]()
    both = {cell: (wanted.get(cell, none), found.get(cell, none)) for cell in found | wanted}
    return {cell: (right - told, told - right) for cell, (right, told) in both.items() if right != told}


def expected(provider: Provider, month: date) -> Sealed:
    months = provider.months
    found: Sealed = {
        cell: Counter(str(person.number) for person in people) for cell, people in truth(months.logins).items()
    }
    for told in months.instances.values():
        for day, states in told.items():
            cell = (day.replace(day=1), A, "ADC")
            found[cell] = found.get(cell, Counter()) | Counter(n for n, state in states.items() if state == "Up")
    return {cell: people for cell, people in found.items() if cell[0] == month}


def sealed(provider: Provider, settings: Settings, client: Client, month: date) -> Sealed:
    """The stored set of the newest close, each subject by who it is; a pseudonym that is nobody's by itself."""
    hashed = MonthlyPseudonyms(pseudonym_keys(settings)).at(month)
    known = {
        hashed.of(person.tenant, folded(name)): str(person.number)
        for person in provider.months.people for name in person.names.values()
    } | {hashed.of(A, name): name for name in (f"adc-{n}" for n in range(9))}
    known[hashed.of(A, DESK)] = str(provider.months.at_the_desk[month].number)
    rows = client.query(
        "SELECT tenant, sku, hex(subject) FROM seal_subjects WHERE close_number = (SELECT max(close_number)"
        " FROM seal_subjects)"
    ).result_rows
    found: Sealed = {}
    for tenant, sku, subject in rows:
        found.setdefault((month, tenant, sku), Counter())[known.get(bytes.fromhex(subject), subject)] += 1
    totals = {(tenant, sku): sum(people.values()) for (_, tenant, sku), people in found.items()}
    assert totals == {
        (row["tenant"], row["sku"]): row["active_users"]
        for row in json.loads(inside(settings, "counts", f"{month:%Y-%m}", "--format", "json").out)
    }  # fmt: skip
    return found
