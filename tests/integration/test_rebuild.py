"""A month read again: on real servers, with the real worker, against what the test has pushed; both ways."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from infra import catalogue
from infra.clickhouse.client import connect
from infra.generation import generations, in_force
from infra.kafka.connection import admin_client, kafka_python_options
from infra.lost_offsets import lost_offsets
from infra.secrets import pseudonym_key
from infra.waiting import wait_until
from producers.client import LoginProducer
from schemas.settings import Settings
from stream_jobs.dedup.pseudonym import Pseudonyms
from stream_jobs.dedup.rebuild_log import committed_offsets
from stream_jobs.month_close.seal import seals
from tests.integration.command import environment, rollcall, start

CATALOGUE = """
programmes:
  csp: {time_zone: Asia/Tokyo}
tenants:
  - {id: a, name: A}
  - {id: b, name: B}
skus:
  - {id: S1, name: one, programme: csp, family: f, deployment: cloud}
  - {id: S2, name: two, programme: csp, family: f, deployment: cloud}
  - {id: S3, name: three, programme: csp, family: f, deployment: cloud}
products:
  - {source: /x, product: Desktop, sku: S2}
"""
MENDED = CATALOGUE.replace("sku: S2}", "sku: S3}") + "  - {source: /x, product: Kiosk, sku: S1}\n"
SEPTEMBER, OCTOBER = "2026-09", "2026-10"
Sets = dict[tuple[str, str, str], set[str]]
"""(month, tenant, SKU) -> users: what the test knows."""


class World:
    """One Rollcall; `push` tells Kafka of logins, `drain` lets the worker read on."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.client = settings, connect(settings)
        self._pseudonyms = Pseudonyms(pseudonym_key(settings))

    def push(self, users: Iterable[str], month: str = OCTOBER, source: str = "/x", **data: str) -> None:
        with LoginProducer(self.settings.kafka) as producer:
            for user in users:
                event = {
                    "specversion": "1.0", "id": f"{user}-{month}", "source": source, "type": "rollcall.login.v1",
                    "time": f"{month}-05T10:00:00Z", "subject": user, "data": data,
                }  # fmt: skip
                producer.send_bytes(json.dumps(event).encode(), user)
            producer.flush(30)

    def command(self, *arguments: str, code: int = 0) -> str:
        """Standard output; the exit code must be as expected."""
        done = rollcall(self.settings, *arguments)
        assert done.code == code, done.err
        print(done.err)
        return done.out

    def drain(self) -> None:
        self.command("worker", "--drain")

    def differences(self, *arguments: str, code: int = 1) -> dict[tuple[str, str], tuple[set[str], set[str]]]:
        """By tenant and SKU, the users that `rebuild` shows as gone and as new."""
        rows = csv.DictReader(io.StringIO(self.command("rebuild", *arguments, "--format", "csv", code=code)))
        return {(r["tenant"], r["sku"]): (set(r["gone_subjects"].split()), set(r["new_subjects"].split())) for r in rows}

    def subjects(self, tenant: str, users: Iterable[str]) -> set[str]:
        return {self._pseudonyms.of(tenant, user).hex() for user in users}

    def holds(self, truth: Mapping[tuple[str, str, str], set[str]]) -> None:
        """The table in force, the view and the truth are one, every month of them."""
        rows = self.client.query(
            f"SELECT DISTINCT toString(month), tenant, sku, lower(hex(subject)) FROM {in_force(self.client).table}"
        ).result_rows
        found: Sets = defaultdict(set)
        for month, tenant, sku, subject in rows:
            found[month[:7], tenant, sku].add(subject)
        assert dict(found) == {(m, t, s): self.subjects(t, users) for (m, t, s), users in truth.items() if users}
        seen = self.client.query("SELECT toString(month), tenant, sku, active_users FROM active_users_by_month")
        assert {(m[:7], t, s): n for m, t, s, n in seen.result_rows} == {c: len(u) for c, u in truth.items() if u}

    def close(self, month: str) -> None:
        self.command("close", month, "--drain")

    def digest(self, month: str) -> tuple[int, str]:
        newest = seals(self.client, date.fromisoformat(f"{month}-01"), "csp")[-1]
        return newest.revision, newest.digest

    def quarantined(self) -> dict[str, int]:
        """How many events stand in each state."""
        rows = self.client.query(
            "SELECT tupleElement(latest, 'state') AS state, count() FROM"
            " (SELECT max(latest) AS latest FROM quarantine GROUP BY topic_id, partition, offset, place) GROUP BY state"
        ).result_rows
        names = {1: "quarantined", 2: "waived", 3: "replayed", 4: "counted"}
        return {names[state]: count for state, count in rows}

    def cut_log(self, partition: int, offset: int) -> None:
        """As retention does: what stands before the offset is gone."""
        from kafka import TopicPartition

        with admin_client(kafka_python_options(self.settings.kafka)) as admin:
            admin.delete_records({TopicPartition(self.settings.kafka.topic, partition): offset})

    def tables(self) -> set[str]:
        return {name for (name,) in self.client.query("SHOW TABLES LIKE 'active\\_users\\_g%'").result_rows}


def users(prefix: str, count: int) -> set[str]:
    return {f"{prefix}{i}" for i in range(count)}


DESKTOP, DIRECT, KIOSK, BEFORE = users("d", 4), users("s", 30), users("k", 3), users("e", 20)
FIRST: Sets = {
    (SEPTEMBER, "a", "S1"): BEFORE, (SEPTEMBER, "b", "S2"): DESKTOP,
    (OCTOBER, "a", "S1"): DIRECT, (OCTOBER, "b", "S2"): DESKTOP,
}  # fmt: skip
# October as the mended catalogue has it; September stays as it was read.
REBUILT: Sets = {
    (SEPTEMBER, "a", "S1"): BEFORE, (SEPTEMBER, "b", "S2"): DESKTOP,
    (OCTOBER, "a", "S1"): DIRECT, (OCTOBER, "b", "S1"): KIOSK, (OCTOBER, "b", "S3"): DESKTOP,
}  # fmt: skip


@pytest.fixture
def world(make_settings: Callable[..., Settings]) -> World:
    """Two months, one product mapped to the wrong SKU and one not at all."""
    world = World(make_settings(CATALOGUE, kafka={"partitions": 2}))
    world.push(BEFORE, SEPTEMBER, tenant="a", sku="S1")
    world.push(DESKTOP, SEPTEMBER, tenant="b", product="Desktop")
    world.push(DIRECT, tenant="a", sku="S1")
    world.push(DESKTOP, tenant="b", product="Desktop")
    world.push(KIOSK, tenant="b", product="Kiosk")
    return world


def test_a_product_mapped_wrongly_is_put_right_in_one_month(world: World) -> None:
    world.close(OCTOBER)
    world.close(SEPTEMBER)
    world.holds(FIRST)
    assert world.quarantined() == {"quarantined": 3}
    one, september = world.digest(OCTOBER), world.digest(SEPTEMBER)

    assert world.differences(OCTOBER, code=0) == {}  # as it was read: the same digest
    assert world.tables() == set()

    catalogue.apply(world.settings, world.client, MENDED)
    world.drain()
    moved, kiosk = world.subjects("b", DESKTOP), world.subjects("b", KIOSK)
    expected = {("b", "S1"): (set(), kiosk), ("b", "S2"): (moved, set()), ("b", "S3"): (set(), moved)}
    assert world.differences(OCTOBER, "--catalogue", "2") == expected
    assert world.tables() == set()
    assert (world.digest(OCTOBER), world.quarantined()) == (one, {"quarantined": 3})
    world.holds(FIRST)

    running = start(world.settings, "worker")
    try:
        late = users("l", 5)
        world.push(late, tenant="b", product="Desktop")
        assert world.differences(OCTOBER, "--catalogue", "2", "--accept", code=0) == expected
        world.push(users("n", 5), "2026-11", tenant="a", sku="S1")
        assert running.wait(30) == 70
    finally:
        running.kill()
        said = running.communicate()[1].decode()
    assert "a rebuild has put generation 2 in force" in said
    world.drain()
    # What came after version 2 was judged by it as it came; October's first logins are by the rebuild.
    truth = {**REBUILT, (OCTOBER, "b", "S3"): DESKTOP | late, ("2026-11", "a", "S1"): users("n", 5)}
    world.holds(truth)
    assert world.quarantined() == {"counted": 3}

    world.close(OCTOBER)
    world.command("verify", OCTOBER)
    world.command("verify", SEPTEMBER)
    two = world.digest(OCTOBER)
    assert (two[0], world.digest(SEPTEMBER)) == (2, september)
    world.close(SEPTEMBER)
    assert world.digest(SEPTEMBER) == september

    assert world.differences(OCTOBER, code=0) == {}  # as it is read now: by version 2 what came before, then the log
    world.command("rebuild", OCTOBER, "--accept")  # nothing to put in force
    assert in_force(world.client).number == 2
    assert world.differences(OCTOBER, "--catalogue", "log") != {}
    world.push(DESKTOP | late, tenant="b", product="Desktop")  # told again: nothing new
    world.drain()
    world.holds(truth)


def test_a_void_hour_is_left_out_and_stays_so(world: World, tmp_path: Any) -> None:
    rubbish = users("r", 6)
    world.drain()
    begin = _tick()
    world.push(rubbish, source="/bad", tenant="a", sku="S2")
    world.push(users("g", 2), tenant="a", sku="S2")  # another source, in the same interval
    world.push(rubbish, SEPTEMBER, source="/bad", tenant="a", sku="S2")
    end = _tick()
    world.push({"r0"}, source="/bad", tenant="a", sku="S2")  # behind it
    file = tmp_path / "voids.yaml"
    rule = f"- {{source: /bad, from: '{begin}', to: '{end}', reason: a load test}}\n"
    file.write_text(rule)
    assert "has not read to the end of the void rule" in rollcall(
        world.settings, "rebuild", OCTOBER, "--void", str(file)
    ).err  # fmt: skip
    world.close(OCTOBER)
    expected = {("a", "S2"): (set(sorted(world.subjects("a", rubbish - {"r0"}))[:5]), set())}
    assert world.differences(OCTOBER, "--void", str(file), "--accept", code=0) == expected
    truth = {**FIRST, (OCTOBER, "a", "S2"): {"r0", "g0", "g1"}, (SEPTEMBER, "a", "S2"): rubbish}
    world.drain()
    world.holds(truth)
    world.close(OCTOBER)
    assert world.differences(OCTOBER, code=0) == {}
    assert "a load test" in in_force(world.client).voids


_KILLED = """
import os, signal, sys
from stream_jobs.dedup import rebuild
from console.main import main
module, step, after = sys.argv[1:4]
target = rebuild.tables if module == "tables" else rebuild.Trial if module == "Trial" else rebuild
real = getattr(target, step)
def dies(*args, **named):
    if after == "after":
        made = real(*args, **named)
        if step == "_set_aside":
            import asyncio; asyncio.run(made)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(target, step, dies)
main(sys.argv[4:])
"""


def test_accept_killed_at_each_step_and_run_again(world: World) -> None:
    catalogue.apply(world.settings, world.client, MENDED)
    world.drain()
    steps = [
        ("tables", "make", "after"), ("rebuild", "_read", "before"), ("tables", "take_over", "after"),
        ("Trial", "_set_aside", "after"), ("rebuild", "commit_offsets", "after"), ("rebuild", "put_in_force", "after"),
        ("rebuild", "apply_views", "before"), ("rebuild", "apply_views", "after"),
    ]  # fmt: skip
    for turn, step in enumerate(steps):
        version, truth = ("2", REBUILT) if turn % 2 == 0 else ("log", FIRST)
        arguments = ["rebuild", OCTOBER, "--catalogue", version, "--accept"]
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, *step, *arguments], env=environment(world.settings), capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        if turn == 0:
            assert len(world.tables()) == 1
        world.command(*arguments)
        world.holds(truth)
        numbers = [generation.number for generation in generations(world.client)]
        assert numbers == list(range(1, turn + 3))
        assert world.quarantined() == ({"counted": 3} if truth is REBUILT else {"quarantined": 3})
    assert world.tables() == {generation.table for generation in generations(world.client)[1:]}
    world.push(users("z", 2), tenant="a", sku="S1")
    world.drain()
    world.holds({**truth, (OCTOBER, "a", "S1"): DIRECT | users("z", 2)})


def test_a_log_that_does_not_reach_back_is_refused_and_what_it_lost_is_a_finding(world: World) -> None:
    world.cut_log(1, 3)
    world.drain()
    assert lost_offsets(world.client) == []  # a group that never read expects nothing
    with admin_client(kafka_python_options(world.settings.kafka)) as admin:
        at = committed_offsets(admin, f"{world.settings.kafka.group}-g1", world.settings.kafka.topic)[1]
    world.push(users("m", 40), tenant="a", sku="S1")
    world.cut_log(1, at + 5)
    world.drain()
    [lost] = lost_offsets(world.client)
    assert (lost.partition, lost.expected, lost.found) == (1, at, at + 5)
    assert datetime.now(UTC) - timedelta(minutes=5) < lost.after <= lost.before <= datetime.now(UTC)
    for month in (OCTOBER, SEPTEMBER):
        refused = rollcall(world.settings, "rebuild", month)
        assert refused.code == 1
        assert f"{month} cannot be rebuilt: partition 1 of" in refused.err
        assert f"begins at offset {at + 5} and its first record was appended" in refused.err


def _tick() -> str:
    """The time now, with nothing before or behind it in the same millisecond."""
    time.sleep(0.05)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    assert wait_until(lambda: datetime.now(UTC).isoformat(timespec="milliseconds") > now, 1)
    return now
