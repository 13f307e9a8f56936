"""docs/security.md's promises about names, on a real small month: each place that must hold none is looked through.

People have names that stand nowhere else. Places that do hold names are looked through too, or the test could not fail.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from kafka import KafkaConsumer, TopicPartition

from infra.clickhouse.client import connect
from infra.clickhouse.migrate import views
from infra.errors import ConfigurationError
from infra.kafka.connection import kafka_python_options
from infra.kafka.topics import describe
from infra.local.ports import LOOPBACK, free_port
from infra.lookups import Asker, lookups
from infra.waiting import wait_until
from producers.gateway.server import keys_file
from schemas.calendar import parse_month
from schemas.settings import Settings
from stream_jobs.month_close.explain import explain
from tests.integration.command import inside, start
from tests.integration.conftest import MakeSettings
from tests.integration.gateway import running
from tests.integration.test_seen import get

MARK = "zq7"
"""In every name of a person, and in nothing else."""
ALICE, BOB, BOSS, BAD, LINE, LISTENED = (
    f"{MARK}{n}@customer-a.example" for n in ("alice", "bob", "boss", "bad", "line", "listened")
)
CATALOGUE = """
agreements:
  - {id: jp, programme: citrix-csp, partner: {name: P}, distributor: {name: D},
     contract_date: 2020-01-01}
exclusions:
  - {tenant: customer-a, subject: %s, reason: administration}
"""
MONTH = date(2026, 3, 1)
NAMED_TABLES = {"subject_names", "known_names", "catalogue_versions"}
"""`catalogue_versions` names whom the catalogue names: here the boss alone."""


def login(user: str, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"{sum(user.encode())}", "source": "/citrix/tokyo-1", "type": "rollcall.login.v1",
        "time": "2026-03-15T12:00:00+09:00", "subject": user,
        "data": {"tenant": "customer-a", "sku": "DAAS-PREM-T1"},
    } | changes  # fmt: skip


@pytest.fixture
def world(make_settings: MakeSettings, example_catalogue: str, tmp_path: Path) -> Settings:
    """Migrated, with a home of its own for what the gateway and `push` leave, the stack's secrets in it."""
    made = make_settings(
        example_catalogue + CATALOGUE % BOSS,
        kafka={"partitions": 1}, gateway={"port": free_port(), "metrics_port": free_port()},
        metrics={"port": free_port()}, log={"level": "debug"},
    )  # fmt: skip
    home = tmp_path / "home"
    home.mkdir()
    (home / "secrets").symlink_to(made.secrets)
    return made.model_copy(update={"home": home})


def holds(text: str | bytes) -> bool:
    """Whether a name is in it, in any spelling that this month has."""
    raw = text.encode() if isinstance(text, str) else text
    return MARK.encode() in raw.lower() or MARK.encode("utf-16-le") in raw.lower()


def rows(client: Client, table: str) -> str:
    """All that is in a table or view, as text; columns that are not selected by themselves too."""
    columns = [name for (name,) in client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {t:String}",
        parameters={"t": table}).result_rows]  # fmt: skip
    return client.raw_query(f"SELECT {', '.join(f'`{c}`' for c in columns)} FROM `{table}` FORMAT JSONEachRow").decode(
        "utf-8", "replace"
    )


def topics(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every topic of this Rollcall, with all that it holds."""
    consumer = KafkaConsumer(**kafka_python_options(settings.kafka), auto_offset_reset="earliest")
    try:
        for topic in sorted(consumer.topics()):
            if not topic.startswith(settings.kafka.topic):
                continue
            places = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
            consumer.assign(places)
            consumer.seek_to_beginning()
            ends, held = consumer.end_offsets(places), []
            while any(consumer.position(place) < end for place, end in ends.items()):
                for found in consumer.poll(timeout_ms=200).values():
                    held += [f"{r.key!r} {r.headers!r} {(r.value or b'').decode('utf-8', 'replace')}" for r in found]
            yield topic, "\n".join(held)
    finally:
        consumer.close()


def stopped(process: subprocess.Popen[bytes]) -> str:
    """What it said on standard error, to its end."""
    process.terminate()
    return process.communicate(timeout=40)[1].decode()


def count(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """Alice by the gateway, others by a file, a bad one and a line that is none; closed. What was said meanwhile."""
    said = {}
    with running(settings) as gateway:
        assert gateway.post(login(ALICE), "application/cloudevents+json").status == 202
        assert gateway.post(login(BAD, time=f"yesterday, {BAD}"), "application/cloudevents+json").status == 422
        said["gateway's metrics"] = get(settings.gateway.metrics_port, "/metrics")[1].decode()
        said["gateway's health"] = json.dumps(gateway.facts())
        said["token"] = gateway.token
        said["gateway's log"] = stopped(gateway.process)
    file = tmp_path / "logins.ndjson"
    bad = login(BAD, data={"tenant": "customer-a", "sku": "UNKNOWN"})
    file.write_text("".join(f"{json.dumps(each)}\n" for each in (login(BOB), login(BOSS), bad)) + f"{LINE} is none\n")
    pushed = inside(settings, "push", str(file))
    assert pushed.code == 1, pushed.err  # a line is refused
    said["push"] = pushed.out + pushed.err
    worker = start(settings, "worker")
    try:
        port = settings.metrics.port
        assert wait_until(lambda: b"rollcall_events_total{" in get(port, "/metrics")[1], 60, pause=0.2)
        with connect(settings) as client:
            assert wait_until(lambda: "counted" in _stored(client), 30, pause=0.2)
        closed = inside(settings, "close", "2026-03")
        assert closed.code == 0, closed.err
        said["close"] = closed.out + closed.err
        for path in ("/metrics", "/health/ready", "/health/stuck"):
            said[f"worker's {path}"] = get(port, path)[1].decode()
    finally:
        said["worker's log"] = stopped(worker)
    return said


VPN = """records: json
login: {time: {from: time}, subject: {from: "data['auth@1'].user"}, product: {from: host}}
"""


def listened(settings: Settings, tmp_path: Path) -> str:
    """A login and a line that cannot be read, by syslog while Kafka is away. What the listener said."""
    (tmp_path / "vpn.yaml").write_text(VPN)
    port, kept = free_port(), settings.home / "sources"
    listener = start(
        settings, "source", "run", "syslog", f"tcp://{LOOPBACK}:{port}", "--source", "/vpn/1", "--map",
        str(tmp_path / "vpn.yaml"), "--tenant", "customer-a", "--sku", "DAAS-PREM-T1",
        ROLLCALL_KAFKA_BOOTSTRAP=f"{LOOPBACK}:{free_port()}",
    )  # fmt: skip
    try:
        assert wait_until(lambda: _sent(port, [
            f'<110>1 2026-03-15T12:00:00Z h vpn - 1 [auth@1 user="{LISTENED}"] in', f"<110>1 yesterday h vpn {BAD}",
        ]), 30.0)  # fmt: skip
        assert wait_until(lambda: len([file for file in kept.rglob("*") if file.is_file() and holds(file.read_bytes())])
                          == 2, 30.0)  # fmt: skip
        return stopped(listener)
    finally:
        listener.kill()
        listener.wait()


def _sent(port: int, lines: list[str]) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as sender:
            sender.sendall("".join(f"{line}\n" for line in lines).encode())
        return True
    except OSError:
        return False


def _stored(client: Client) -> str:
    [[users, aside]] = client.query(
        "SELECT (SELECT count() FROM active_users), (SELECT count() FROM quarantine)"
    ).result_rows
    return "counted" if (users, aside) == (3, 1) else f"{users} {aside}"


def reported(settings: Settings, tmp_path: Path) -> dict[str, bytes]:
    """The bundle, in which is every form of the report, and what commands say about the month."""
    bundle = tmp_path / "bundle.zip"
    done = inside(settings, "report", "bundle", "2026-03", "--output", str(bundle))
    assert done.code == 0, done.err
    found = {"bundle": bundle.read_bytes(), "bundle's command": (done.out + done.err).encode()}
    for words in (
        ("status",), ("doctor",), ("metrics",), ("settings",), ("counts", "2026-03"), ("quarantine", "list"),
        ("explain", "2026-03", "customer-a", "DAAS-PREM-T1", "--all"), ("keys", "show"), ("verify", "2026-03"),
    ):  # fmt: skip
        outcome = inside(settings, *words)
        found[" ".join(words)] = (outcome.out + outcome.err).encode()
    packed = [name for name, content in found.items() if content[:2] == b"PK"]
    while packed:
        name = packed.pop()
        with zipfile.ZipFile(io.BytesIO(found[name])) as file:
            members = {f"{name}/{member}": file.read(member) for member in file.namelist()}
        found |= members
        packed += [member for member, content in members.items() if content[:2] == b"PK"]
    return found


def test_names_are_where_the_page_says_and_nowhere_else(world: Settings, tmp_path: Path) -> None:
    said = count(world, tmp_path)
    said["listener"] = listened(world, tmp_path)
    assert "lines are refused" in said["listener"]
    assert [place for place, text in said.items() if holds(text)] == []
    shown = reported(world, tmp_path)
    assert {f"bundle/report.{form}" for form in ("json", "csv", "xlsx", "pdf")} < set(shown)
    assert "customer-a" in shown["bundle/report.csv"].decode()
    assert [place for place, content in shown.items() if holds(content)] == []

    with connect(world) as client:
        tables = [name for (name,) in client.query("SHOW TABLES").result_rows]
        assert {view.name for view in views()} < set(tables)
        assert {table for table in tables if holds(rows(client, table))} == NAMED_TABLES
        assert set(re.findall(rf"{MARK}\w+", rows(client, "catalogue_versions"))) == {f"{MARK}boss"}
        assert set(re.findall(rf"{MARK}\w+", rows(client, "subject_names"))) == {f"{MARK}{n}" for n in (
            "alice", "bob", "boss")}  # fmt: skip
    logs = list((world.secrets.resolve().parent / "logs").iterdir())
    assert (len(logs) >= 2, [log.name for log in logs if holds(log.read_bytes())]) == (True, [])
    quarantine = world.kafka.quarantine_topic
    assert {topic for topic, held in topics(world) if holds(held)} == {world.kafka.topic, quarantine}
    for topic in (world.kafka.topic, quarantine):
        assert describe(world, topic).config["retention.ms"] == str(world.kafka.retention_days * 86_400_000)

    # Secrets: at rest hashed or private, and said by nobody.
    ring = keys_file(world)
    token = said.pop("token")
    assert token.split("_", 2)[2] not in ring.read_text()
    secrets = [file.read_text().strip() for file in world.secrets.iterdir() if file.name != "accounts.json"]
    assert len(secrets) == 3
    secrets.append(token)
    everything = "\n".join([*said.values(), *(content.decode("utf-8", "replace") for content in shown.values())])
    assert not [secret for secret in secrets if secret in everything]

    # Files that hold names or secrets are their owner's alone.
    private = [file for file in world.home.rglob("*") if file.is_file() and file.parent.name != "secrets"]
    kept = [file for file in private if holds(file.read_bytes())] + [ring, *world.secrets.resolve().iterdir()]
    assert {file.parent.name for file in kept} >= {"rejects", "sources", "vpn_1.spool"}
    stack = world.secrets.resolve().parent
    kept += [stack / "kafka", stack / "clickhouse" / "data", world.secrets.resolve(), world.home / "rejects"]
    assert [file for file in kept if stat.S_IMODE(os.stat(file).st_mode) & 0o077] == []


def test_a_look_at_names_is_kept_before_they_are_shown_or_none_is(world: Settings) -> None:
    with connect(world) as client:
        subject = bytes(15) + b"\x01"
        client.insert("active_users", [[MONTH, "customer-a", "DAAS-PREM-T1", subject]],
                      column_names=["month", "tenant", "sku", "subject"])  # fmt: skip
        client.insert("subject_names", [["customer-a", subject, ALICE]], column_names=["tenant", "subject", "name"])
        asked = ("explain", "2026-03", "customer-a", "DAAS-PREM-T1", "--names", "--reason", "ticket 7")
        assert ALICE in inside(world, *asked).out
        [look] = lookups(client, tenant="customer-a", limit=10)
        assert look[2:] == (look.actor, "explain", "customer-a", "DAAS-PREM-T1", MONTH, 1, "ticket 7")
        assert look.account
        listed = inside(world, "subject", "lookups", "--format", "json")
        assert [row["reason"] for row in json.loads(listed.out)] == ["ticket 7"]
        with pytest.raises(Exception, match="MATERIALIZED"):
            client.command("INSERT INTO name_lookup_log (account, actor) VALUES ('someone else', 'x')")

        client.command("RENAME TABLE name_lookup_log TO elsewhere")
        refused = inside(world, *asked)
        assert (refused.code != 0, holds(refused.out)) == (True, False), refused.out
        with pytest.raises(ConfigurationError):
            list(explain(world, parse_month("2026-03"), "customer-a", "DAAS-PREM-T1", names=Asker("t", "t")).pages)
