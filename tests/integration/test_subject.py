"""A name is erased: it stays gone whatever comes again, and the closed month verifies; export says what is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from infra import catalogue, erasures
from infra.clickhouse.client import connect
from infra.errors import ConfigurationError, RollcallError
from infra.keyring import FIRST, Keys
from infra.lookups import Asker, lookups
from infra.migrate import migrate
from infra.pseudonyms import MonthlyPseudonyms
from infra.waiting import wait_until
from schemas.settings import Settings
from stream_jobs.dedup.rebuild import trial
from stream_jobs.month_close.explain import explain
from stream_jobs.month_close.verify import verify_month
from stream_jobs.quarantine.desk import Selection, replay
from stream_jobs.status.log import read_log
from stream_jobs.subjects.erase import erase
from tests.integration.command import inside, start
from tests.integration.conftest import MakeSettings

ALICE, BOB = "zq7alice@customer-a.example", "zq7bob@customer-a.example"
ONE, TWO = "11" * 32, "22" * 32
SKU, MARCH = "DAAS-PREM-T1", date(2026, 3, 1)


def login(user: str, month: str, **changes: Any) -> bytes:
    event = {
        "specversion": "1.0", "id": f"{len(user)}-{month}", "source": "/citrix/tokyo-1", "type": "rollcall.login.v1",
        "time": f"{month}-15T12:00:00+09:00", "subject": user, "data": {"tenant": "customer-a", "sku": SKU},
    }  # fmt: skip
    return json.dumps(event | changes).encode() + b"\n"


def count(settings: Settings, file: Path, *logins: bytes) -> None:
    """Returns when the worker has stored and committed all that is in the log."""
    file.write_bytes(b"".join(logins))
    pushed = inside(settings, "push", str(file))
    assert pushed.code == 0, pushed.err
    assert wait_until(lambda: _caught_up(settings), 90, pause=0.3)


def _caught_up(settings: Settings) -> bool:
    try:
        return read_log(settings, f"{settings.kafka.group}-g1").lag == {0: 0}
    except RollcallError:  # a new cluster has no place for groups yet
        return False


@pytest.fixture
def keyed(make_settings: MakeSettings, tmp_path: Path) -> Iterator[Settings]:
    """With two keys, from April on the second, and a worker that runs."""
    ring = tmp_path / "ring"
    ring.write_text(f"{ONE}\n2026-04 {TWO}\n")
    settings = make_settings(key_file=ring, kafka={"partitions": 1}, metrics={"port": 0})
    worker = start(settings, "worker")
    try:
        yield settings
    finally:
        worker.kill()
        worker.communicate(timeout=30)


def names(client: Client, table: str = "subject_names") -> set[str]:
    return {name for (name,) in client.query(f"SELECT name FROM {table}").result_rows}


def test_an_erased_name_stays_gone_and_counts_verify(keyed: Settings, tmp_path: Path) -> None:
    """The name comes again: late, by another key, by a replay, by a rebuild."""
    settings, file = keyed, tmp_path / "logins.ndjson"
    by_month = MonthlyPseudonyms(Keys({FIRST: bytes.fromhex(ONE), date(2026, 4, 1): bytes.fromhex(TWO)}))
    alice = [pseudonyms.of("customer-a", ALICE) for pseudonyms in by_month.by_start.values()]
    unknown = login(ALICE, "2026-03", data={"tenant": "customer-a", "sku": "UNKNOWN"})
    count(settings, file, login(ALICE, "2026-03"), login(BOB, "2026-03"), unknown)
    closed = inside(settings, "close", "2026-03", "--format", "csv")
    assert closed.out.endswith(f"{SKU},2\n"), closed.err

    with connect(settings) as client:
        assert names(client) == {ALICE, BOB}
        done = inside(settings, "subject", "erase", "customer-a", ALICE.upper(), "--reason", "asked on 1 April")
        assert (done.code, "1 stored names taken out" in done.err) == (0, True), done.err
        days = settings.kafka.retention_days + 7  # Kafka's segments last a week
        until = datetime.now(UTC) + timedelta(days=days)
        assert f"Kafka topic {settings.kafka.topic}, until {until:%Y-%m-%d} at the latest" in done.err
        assert names(client) == {BOB}
        assert ALICE not in done.out + done.err
        assert client.query("SELECT DISTINCT reason FROM subject_erasures").result_rows == [("asked on 1 April",)]
        assert {bytes(s) for (s,) in client.query("SELECT subject FROM subject_erasures").result_rows} == set(alice)

        sku = "  - {id: UNKNOWN, name: x, programme: citrix-csp, family: x, deployment: cloud}\nproducts:"
        settings.catalogue.write_text(settings.catalogue.read_text().replace("products:", sku))
        catalogue.apply(settings, client, settings.catalogue.read_text())
        assert replay(settings, client, Selection(), print).sent == 1
        again = login(ALICE, "2026-03", id="again")
        count(settings, file, again, login(ALICE, "2026-04"), login(BOB, "2026-04"))
        with trial(settings, MARCH, now=datetime.now(UTC), tell=print) as made:
            assert made.accept("a test", "tester").number in (1, 2)
        assert names(client) == {BOB}
        assert client.query("SELECT count() FROM active_users WHERE month = '2026-04-01'").result_rows == [(2,)]
        [verified] = verify_month(settings, MARCH)
        assert verified.holds, verified

        # A worker that did not know yet: the name is shown to nobody, and the next migrate takes it out.
        client.insert("subject_names", [["customer-a", alice[0], ALICE]], column_names=["tenant", "subject", "name"])
        assert (names(client), names(client, "known_names")) == ({ALICE, BOB}, {BOB})
        [page] = explain(settings, MARCH, "customer-a", SKU, names=Asker("tester", "explain")).pages
        assert {row.name for row in page} == {None, BOB}
        told: list[str] = []
        migrate(settings, told.append)
        assert (names(client), any("1 that were stored again" in line for line in told)) == ({BOB}, True)

        exported = inside(settings, "subject", "export", "customer-a", ALICE)
        assert exported.code == 0, exported.err
        found = json.loads(exported.out)
        assert [each["subject"] for each in found["pseudonyms"]] == [subject.hex() for subject in alice]
        assert (found["name_stored"], [each["reason"] for each in found["erased"]]) == ([], ["asked on 1 April"])
        active = {(each["month"], each["sku"]): each for each in found["active"]}
        assert set(active) == {("2026-03", SKU), ("2026-03", "UNKNOWN"), ("2026-04", SKU)}
        assert active["2026-03", SKU]["days"] == ["2026-03-15"]
        assert [(e["month"], e["revision"], e["counted"]) for e in found["seals"]] == [("2026-03", 1, True)]
        assert len(found["quarantine"]) == 1
        assert [each["where"] for each in found["also_kept"]][:2] == [
            f"Kafka topic {settings.kafka.topic}", f"Kafka topic {settings.kafka.quarantine_topic}"]  # fmt: skip
        looks = [(look.command, look.subjects) for look in lookups(client, limit=10)]
        assert looks == [("subject export", 1), ("explain", 2), ("subject erase", 1)]


def test_who_cannot_be_erased_is_told(settings: Settings, client: Client) -> None:
    asker = Asker("tester", "subject erase", " ")
    with pytest.raises(ConfigurationError, match="say why"):
        erase(settings, client, "customer-a", ALICE, asker, datetime.now(UTC))
    asker = Asker("tester", "subject erase", "a test")
    with pytest.raises(ConfigurationError, match="no catalogue has a tenant customer-x"):
        erase(settings, client, "customer-x", ALICE, asker, datetime.now(UTC))
    assert erasures.sweep(client, settings.clickhouse) == 0
