"""A month read again: on real servers, with the real worker, against what the test has pushed; both ways."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import multiprocessing
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from infra import catalogue
from infra.clickhouse.client import connect
from infra.generation import Generation, generations, in_force
from infra.kafka.connection import admin_client, kafka_python_options
from infra.lost_offsets import lost_offsets
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from infra.waiting import wait_until
from producers.client import LoginProducer
from schemas.settings import Settings
from schemas.voids import Void, parse_voids
from stream_jobs.dedup import rebuild, rebuild_accept, rebuild_table
from stream_jobs.dedup.rebuild_log import committed_offsets
from stream_jobs.month_close import close
from stream_jobs.month_close.barrier import Waiting
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.close import close_month
from stream_jobs.month_close.compare import Comparison, compare
from stream_jobs.month_close.seal import seals
from stream_jobs.month_close.unattended.behind import changed_since, seal_heads
from stream_jobs.month_close.verify import verify_month
from tests.integration.command import rollcall, start

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
exclusions:
  - {tenant: a, subject: s0, reason: administration}
  - {tenant: a, subject: s1, reason: demonstration, valid_from: 2026-10-01, valid_to: 2026-10-10}
products:
  - {source: /x, product: Desktop, sku: S2}
"""
MENDED = CATALOGUE.replace("sku: S2}", "sku: S3}") + "  - {source: /x, product: Kiosk, sku: S1}\n"
SEPTEMBER, OCTOBER, NOVEMBER = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)
DEADLINE = 60.0

Truth = Mapping[tuple[date, str, str], set[str]]
"""(month, tenant, SKU) -> users: what the test knows."""
Differences = dict[tuple[str, str], tuple[set[str], set[str]]]
"""(tenant, SKU) -> the subjects that are gone and those that are new, the first five of each."""


class World:
    """One Rollcall; `push` tells Kafka of logins."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.client = settings, connect(settings)
        self._pseudonyms = MonthlyPseudonyms(pseudonym_keys(settings)).first

    def push(self, users: Iterable[str], month: date = OCTOBER, source: str = "/x", day: int = 5, **data: str) -> None:
        with LoginProducer(self.settings.kafka, pack=1) as producer:
            for user in users:
                event = {
                    "specversion": "1.0", "id": f"{user}-{month}", "source": source, "type": "rollcall.login.v1",
                    "time": f"{month:%Y-%m}-{day:02}T10:00:00Z", "subject": user, "data": data,
                }  # fmt: skip
                producer.send_bytes(json.dumps(event).encode(), user)
            producer.flush(30)

    @contextmanager
    def working(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker in the background."""
        process = start(self.settings, "worker")
        try:
            yield process
        finally:
            process.kill()
            print(process.communicate(timeout=30)[1].decode())

    def catch_up(self) -> None:
        """Returns when the group in force has committed all that is in the log now."""
        group, topic = in_force(self.client).group(self.settings.kafka), self.settings.kafka.topic
        with admin_client(kafka_python_options(self.settings.kafka)) as admin:
            from kafka import TopicPartition

            ends = admin.list_partition_offsets({TopicPartition(topic, p): -1 for p in range(2)})
            wanted = {tp.partition: at.offset for tp, at in ends.items()}

            def there() -> bool:
                committed = committed_offsets(admin, group, topic)
                return all(committed.get(p, 0) >= at for p, at in wanted.items())

            assert wait_until(there, DEADLINE, 0.2)

    def close(self, month: date) -> None:
        close_month(self.settings, month, tell=print, waiting=Waiting(DEADLINE))

    def rebuild(
        self, month: date, version: int | None = None, voids: Iterable[Void] = (), *, accept: bool = False
    ) -> list[Comparison]:
        with rebuild.trial(
            self.settings, month, catalogue=version, voids=list(voids), now=datetime.now(UTC), tell=print
        ) as tried:
            found = compare(self.settings, self.client, month, tried.generation)
            if accept:
                tried.accept("a test", "alice")
            return found

    def changed(self) -> dict[tuple[str, date], str]:
        """The months that the month end would close again."""
        return changed_since(self.client, stored_versions(self.client), seal_heads(self.client))

    def holds(self, truth: Truth) -> None:
        """The table in force, the view and the truth are one, in every month."""
        rows = self.client.query(
            f"SELECT DISTINCT month, tenant, sku, lower(hex(subject)) FROM {in_force(self.client).table}"
        ).result_rows
        found: dict[tuple[date, str, str], set[str]] = defaultdict(set)
        for month, tenant, sku, subject in rows:
            found[month, tenant, sku].add(subject)
        assert dict(found) == {(m, t, s): self.subjects(t, users) for (m, t, s), users in truth.items()}
        seen = self.client.query("SELECT month, tenant, sku, active_users FROM active_users_by_month").result_rows
        assert {(m, t, s): n for m, t, s, n in seen} == {cell: len(users) for cell, users in truth.items()}

    def subjects(self, tenant: str, users: Iterable[str]) -> set[str]:
        return {self._pseudonyms.of(tenant, user).hex() for user in users}

    def digest(self, month: date) -> tuple[int, str]:
        newest = seals(self.client, month, "csp")[-1]
        return newest.revision, newest.digest

    def quarantined(self) -> dict[str, int]:
        """How many events stand in each state."""
        rows = self.client.query(
            "SELECT tupleElement(latest, 'state') AS state, count() FROM"
            " (SELECT max(latest) AS latest FROM quarantine GROUP BY topic_id, partition, offset, place) GROUP BY state"
        ).result_rows
        names = {1: "quarantined", 2: "waived", 3: "replayed", 4: "counted"}
        return {names[state]: count for state, count in rows}

    def tables(self) -> set[str]:
        return {name for (name,) in self.client.query("SHOW TABLES LIKE 'active\\_users\\_g%'").result_rows}

    def cut_log(self, partition: int, offset: int) -> None:
        """As retention does: what stands before the offset is gone."""
        from kafka import TopicPartition

        with admin_client(kafka_python_options(self.settings.kafka)) as admin:
            admin.delete_records({TopicPartition(self.settings.kafka.topic, partition): offset})


def users(prefix: str, count: int) -> set[str]:
    return {f"{prefix}{i}" for i in range(count)}


def shown(comparisons: list[Comparison]) -> Differences:
    return {(c.tenant, c.sku): (set(c.gone_subjects), set(c.new_subjects)) for each in comparisons for c in each.cells}


DESKTOP, DIRECT, KIOSK, BEFORE = users("d", 4), users("s", 30), users("k", 3), users("e", 20)
FIRST: Truth = {
    (SEPTEMBER, "a", "S1"): BEFORE, (SEPTEMBER, "b", "S2"): DESKTOP,
    (OCTOBER, "a", "S1"): DIRECT, (OCTOBER, "b", "S2"): DESKTOP,
}  # fmt: skip
# October by the mended catalogue; September stays as it was read.
REBUILT: Truth = {
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
    moved, kiosk = world.subjects("b", DESKTOP), world.subjects("b", KIOSK)
    expected: Differences = {("b", "S1"): (set(), kiosk), ("b", "S2"): (moved, set()), ("b", "S3"): (set(), moved)}
    late = users("l", 5)
    with world.working() as worker:
        world.close(OCTOBER)
        world.close(SEPTEMBER)
        world.holds(FIRST)
        assert world.quarantined() == {"quarantined": 3}
        one, september = world.digest(OCTOBER), world.digest(SEPTEMBER)

        [unchanged] = world.rebuild(OCTOBER)
        assert (unchanged.same, unchanged.rebuilt_digest) == (True, one[1])

        catalogue.apply(world.settings, world.client, MENDED)
        world.catch_up()
        told = rollcall(world.settings, "rebuild", "2026-10", "--catalogue", "2", "--format", "csv")
        assert told.code == 1, told.err
        rows = csv.DictReader(io.StringIO(told.out))
        found = {(r["tenant"], r["sku"]): (set(r["gone_subjects"].split()), set(r["new_subjects"].split()))
                 for r in rows}  # fmt: skip
        assert found == expected
        assert world.tables() == set()
        assert (world.digest(OCTOBER), world.quarantined()) == (one, {"quarantined": 3})
        world.holds(FIRST)

        world.push(late, tenant="b", product="Desktop")
        assert shown(world.rebuild(OCTOBER, 2, accept=True)) == expected
        world.push(users("n", 5), NOVEMBER, tenant="a", sku="S1")
        assert worker.wait(30) == 70
        assert worker.stderr is not None
        assert "a rebuild has put generation 2 in force" in worker.stderr.read().decode()

    with world.working():
        world.close(OCTOBER)
        # What came after version 2 is judged by it as it comes; October's first logins are by the rebuild.
        truth = {**REBUILT, (OCTOBER, "b", "S3"): DESKTOP | late, (NOVEMBER, "a", "S1"): users("n", 5)}
        world.holds(truth)
        assert world.quarantined() == {"counted": 3}
        assert (world.digest(OCTOBER)[0], world.digest(SEPTEMBER)) == (2, september)
        world.close(SEPTEMBER)
        assert world.digest(SEPTEMBER) == september
        for month in (SEPTEMBER, OCTOBER):
            assert all(result.holds for result in verify_month(world.settings, month))

        # As it is read now: by version 2 what came before, then by the log. So it can be held against its seal again.
        assert all(comparison.same for comparison in world.rebuild(OCTOBER, accept=True))
        assert in_force(world.client).number == 2
        assert shown(world.rebuild(OCTOBER, rebuild.AS_THE_LOG_SAYS)) != {}
        world.push(DESKTOP | late, tenant="b", product="Desktop")  # told again: nothing new
        world.catch_up()
        world.holds(truth)


def test_a_void_hour_is_left_out_and_stays_so(world: World) -> None:
    rubbish = users("r", 6)
    with world.working():
        begin = _between()
        world.push(rubbish, source="/bad", tenant="a", sku="S2")
        world.push(users("g", 2), tenant="a", sku="S2")  # another source, in the same interval
        world.push(rubbish, SEPTEMBER, source="/bad", tenant="a", sku="S2")
        end = _between()
        world.push({"r0"}, source="/bad", tenant="a", sku="S2")  # behind it
        world.push({"s1"}, source="/worse", day=20, tenant="a", sku="S1")
        world.close(OCTOBER)
        void = f"[{{source: /bad, from: '{begin}', to: '{end}', reason: a load test}}]"
        left_out = sorted(world.subjects("a", rubbish - {"r0"}))
        assert len(left_out) == 5
        found = world.rebuild(OCTOBER, voids=parse_voids(void, "voids"), accept=True)
        assert shown(found) == {("a", "S2"): (set(left_out), set())}
    truth = {**FIRST, (OCTOBER, "a", "S2"): {"r0", "g0", "g1"}, (SEPTEMBER, "a", "S2"): rubbish}
    with world.working():
        world.close(OCTOBER)
        world.holds(truth)
        assert all(comparison.same for comparison in world.rebuild(OCTOBER))
    assert "a load test" in in_force(world.client).voids

    # Nobody is gone, but without the 20th an exclusion covers all days of s1.
    worse = parse_voids(f"[{{source: /worse, from: '{begin}', to: '{_between()}', reason: worse}}]", "voids")
    [found] = world.rebuild(OCTOBER, voids=worse, accept=True)
    assert (found.same, found.cells) == (False, ())
    assert world.changed() == {("csp", OCTOBER): "generation 3 reads the month anew: a test"}
    with world.working():
        world.close(OCTOBER)
    assert world.digest(OCTOBER) == (3, found.rebuilt_digest)
    # What counts the same is no reason to close again.
    nothing = parse_voids(f"[{{source: /nobody, from: '{begin}', to: '{_between()}', reason: x}}]", "voids")
    [found] = world.rebuild(OCTOBER, voids=nothing, accept=True)
    assert (found.same, in_force(world.client).number, world.changed()) == (True, 4, {})


def test_a_close_that_sees_a_rebuild_begins_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seal_all, workers = close._seal_all, []

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(close, "_seal_all", seal_all)
        voids = parse_voids(f"[{{source: /x, from: '{begin}', to: '{_between()}', reason: x}}]", "voids")
        world.rebuild(OCTOBER, voids=voids, accept=True)
        workers.append(start(world.settings, "worker"))
        return seal_all(*arguments)

    with world.working():
        world.catch_up()
        begin = _between()
        world.push(users("v", 3), tenant="a", sku="S2")
        world.catch_up()
        monkeypatch.setattr(close, "_seal_all", overtaken)
        try:
            world.close(OCTOBER)
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate(timeout=30)
    [sealed] = seals(world.client, OCTOBER, "csp")
    assert (sealed.generation, sealed.close_number) == (2, 2)
    assert sum(count.active_users for count in sealed.counts) == len(DIRECT - {"s0", "s1"} | DESKTOP)


STEPS: list[tuple[Any, str, bool]] = [
    (rebuild_table, "make", True), (rebuild, "_read", False), (rebuild_table, "take_over", True),
    (rebuild_accept.Trial, "_set_aside", True), (rebuild_accept, "commit_offsets", True),
    (rebuild_accept, "put_in_force", True), (rebuild_accept, "apply_views", False),
    (rebuild_accept, "apply_views", True),
]  # fmt: skip
"""Where accept dies, and whether after the step."""


def _killed_at(world: World, version: int, module: Any, step: str, after: bool) -> None:
    """An accept in a process of its own, which is killed at a step."""

    def run() -> None:
        real = getattr(module, step)

        def dies(*args: Any, **named: Any) -> Any:
            if after:
                made = real(*args, **named)
                if asyncio.iscoroutine(made):
                    asyncio.run(made)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, step, dies)
        World(world.settings).rebuild(OCTOBER, version, accept=True)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(DEADLINE)
    assert process.exitcode == -signal.SIGKILL


def test_accept_killed_at_each_step_and_run_again(world: World) -> None:
    with world.working() as worker:
        catalogue.apply(world.settings, world.client, MENDED)
        world.catch_up()
        worker.terminate()
        worker.wait(30)
    for turn, step in enumerate(STEPS):
        version, truth = (2, REBUILT) if turn % 2 == 0 else (rebuild.AS_THE_LOG_SAYS, FIRST)
        _killed_at(world, version, *step)
        if turn == 0:
            assert len(world.tables()) == 1
        world.rebuild(OCTOBER, version, accept=True)
        world.holds(truth)
        known: list[Generation] = generations(world.client)
        assert [generation.number for generation in known] == list(range(1, turn + 3))
        assert world.tables() == {generation.table for generation in known[1:]}
        assert world.quarantined() == ({"counted": 3} if truth is REBUILT else {"quarantined": 3})
    with world.working():
        world.push(users("z", 2), tenant="a", sku="S1")
        world.catch_up()
    world.holds({**truth, (OCTOBER, "a", "S1"): DIRECT | users("z", 2)})


def test_a_log_that_does_not_reach_back_is_refused_and_what_it_lost_is_a_finding(world: World) -> None:
    world.cut_log(1, 3)
    with world.working() as worker:
        world.catch_up()
        worker.terminate()
        worker.wait(30)
    assert lost_offsets(world.client) == []  # a group that never read expects nothing
    with admin_client(kafka_python_options(world.settings.kafka)) as admin:
        at = committed_offsets(admin, f"{world.settings.kafka.group}-g1", world.settings.kafka.topic)[1]
    world.push(users("m", 40), tenant="a", sku="S1")
    world.cut_log(1, at + 5)
    with world.working():
        world.catch_up()
    [lost] = lost_offsets(world.client)
    assert (lost.partition, lost.expected, lost.found) == (1, at, at + 5)
    assert datetime.now(UTC) - timedelta(minutes=5) < lost.after <= lost.before <= datetime.now(UTC)
    refused = rollcall(world.settings, "rebuild", "2026-10")
    assert refused.code == 1
    assert "2026-10 cannot be rebuilt: partition 1 of" in refused.err
    assert f"begins at offset {at + 5} and its first record was appended" in refused.err


def _between() -> str:
    """The time now, with nothing that was pushed before or is pushed behind it in the same millisecond."""
    time.sleep(0.02)
    now = datetime.now(UTC)
    assert wait_until(lambda: datetime.now(UTC) > now + timedelta(milliseconds=20), 1)
    return now.isoformat(timespec="milliseconds")
