"""The law of a close, on real Kafka and real ClickHouse: what was acknowledged before is in, what came behind is not.

Every expected set comes from what the test has pushed, and is compared both ways.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest

from infra import catalogue, migrate
from infra.errors import CheckFailed, ConfigurationError
from infra.kafka.topics import add_partitions, describe
from schemas.close import CloseResult
from stream_jobs.month_close import barrier, close, seal
from stream_jobs.month_close.barrier import Waiting
from stream_jobs.month_close.close import close_month
from stream_jobs.month_close.count import live_counts, sealed_counts
from stream_jobs.month_close.explain import explain
from stream_jobs.month_close.numbers import take_number
from stream_jobs.month_close.seal import seals
from stream_jobs.month_close.verify import verify_month
from tests.integration.closing import CATALOGUE, OCTOBER, Login, World, truth

FIRST = [Login(t, s, f"u{i}") for i in range(40) for t, s in (("a", "S1"), ("b", "S1"), ("a", "S2"))][:100]
LATE = [Login("a", "S1", f"late{i}") for i in range(7)]
QUICK = Waiting(5.0)


@pytest.fixture
def world(make_settings: Callable[..., Any]) -> World:
    return World(make_settings(CATALOGUE, kafka={"partitions": 2}))


def closed(world: World, agreement: str | None = "csp", work: Callable[[], None] | None = None) -> list[CloseResult]:
    return close_month(
        world.settings, OCTOBER, agreement=agreement, tell=print, waiting=QUICK, work=work or world.read_on
    )


def holds(world: World, result: CloseResult, *logins: Login) -> None:
    """The revision is exactly these logins, by set, by counts, and by `verify`."""
    expected = truth(*logins)
    newest = seals(world.client, OCTOBER, "csp")[-1]
    assert (newest.revision, newest.digest) == (result.revision, result.digest)
    found = world.sealed(newest.close_number)
    assert (expected - found, found - expected) == (set(), set())
    counts = {(c.tenant, c.sku): c.active_users for c in result.counts}
    assert counts == {cell: len([e for e in expected if e[:2] == cell]) for cell in {e[:2] for e in expected}}
    assert all(check.holds for check in verify_month(world.settings, OCTOBER))


def test_acknowledged_before_is_in_and_behind_is_not(world: World) -> None:
    world.push(*FIRST)

    def behind_the_records() -> None:
        world.push(*LATE)
        world.read_on()

    [result] = closed(world, work=behind_the_records)
    assert (result.outcome, result.revision) == ("new", 1)
    holds(world, result, *FIRST)
    assert sum(c.active_users for c in live_counts(world.client, OCTOBER)) == len(truth(*FIRST, *LATE))


def test_late_logins_make_the_next_revision_and_leave_the_first(world: World) -> None:
    world.push(*FIRST)
    [one] = closed(world)
    world.push(*LATE, *FIRST[:20])
    [two] = closed(world)
    assert (two.outcome, two.revision) == ("new", 2)
    holds(world, two, *FIRST, *LATE)
    assert world.sealed(one.close_number) == truth(*FIRST)
    assert sum(c.active_users for c in sealed_counts(world.client, OCTOBER, 1)) == len(truth(*FIRST))


def test_same_set_is_the_same_revision_also_after_the_topic_is_read_again(world: World) -> None:
    world.push(*FIRST, Login("a", "S1", "september", "2026-09"))
    [one] = closed(world)
    world.push(*FIRST)
    world.read_on(again=True)
    [two] = closed(world)
    assert (two.outcome, two.revision, two.digest) == ("unchanged", 1, one.digest)
    assert two.close_number > one.close_number
    assert world.sealed(two.close_number) == set()
    world.client.command("OPTIMIZE TABLE active_users FINAL")
    [three] = closed(world)
    assert (three.outcome, three.revision) == ("unchanged", 1)
    holds(world, three, *FIRST)


def test_a_subject_known_before_and_seen_again_behind_stays_in(world: World) -> None:
    world.push(*FIRST)

    def again_behind() -> None:
        world.push(*FIRST)
        world.read_on()

    [one] = closed(world, work=again_behind)
    world.client.command("OPTIMIZE TABLE active_users FINAL")
    holds(world, one, *FIRST)


class Killed(BaseException):
    """A `kill -9` in small: nothing of ours runs after it."""


def _killed_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **named: Any) -> Any:
        function(*args, **named)
        raise Killed

    return run


def _killed(*_: Any, **__: Any) -> Any:
    raise Killed


def _half_written(settings: Any, record: Any) -> Any:
    from infra.kafka.control import write_control

    write_control(settings, record, [0])
    raise Killed


def _half_stored(client: Any, rows: Any, scope: Any, number: int) -> Any:
    seal_store(client, rows, scope, number)
    client.command(f"DELETE FROM seal_subjects WHERE close_number = {number} AND reinterpretAsUInt8(subject) < 128")
    raise Killed


seal_store = seal._store


@pytest.mark.parametrize(
    ("module", "step", "death"),
    [
        (barrier, "take_number", _killed_after(take_number)),
        (barrier, "write_control", _half_written),
        (barrier, "await_commits", _killed),
        (barrier, "ground", _killed),
        (close, "make_seal", _killed),
        (seal, "_store", _half_stored),
        (seal, "_store", _killed_after(seal._store)),
        (seal, "_put", _killed_after(seal._put)),
    ],
    ids=["number", "some records", "all records", "waited", "judged", "half the set", "the set", "revision"],
)
def test_killed_after_a_step_and_run_again(world: World, module: Any, step: str, death: Any) -> None:
    world.push(*FIRST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, step, death)
        with pytest.raises(Killed):
            closed(world)
    [result] = closed(world)
    assert result.revision == 1
    assert len(seals(world.client, OCTOBER, "csp")) == 1
    holds(world, result, *FIRST)
    world.push(*LATE)
    [second] = closed(world)
    assert second.revision == 2
    holds(world, second, *FIRST, *LATE)


def test_of_many_that_ask_at_once_each_gets_its_own_number(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: take_number(World(world.settings).client, OCTOBER), range(24)))
    assert sorted(numbers) == list(range(1, 25))


@pytest.fixture
def reading(world: World) -> Iterator[None]:
    """A job that reads on while closes run."""
    ended, other = threading.Event(), World(world.settings)

    def run() -> None:
        while not ended.is_set():
            other.read_on()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    ended.set()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.usefixtures("reading")
def test_two_closes_at_once_make_one_revision(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.push(*FIRST)
    together, put = threading.Barrier(2), seal._put

    def at_once(client: Any, revision: Any) -> None:
        together.wait(20)
        put(client, revision)

    monkeypatch.setattr(seal, "_put", at_once)

    def run(_: int) -> CloseResult:
        [result] = close_month(
            world.settings, OCTOBER, agreement="csp", tell=print, waiting=Waiting(20.0), work=lambda: None
        )
        return result

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(run, range(2))
    assert one.close_number != other.close_number
    assert (one.revision, one.digest) == (other.revision, other.digest) == (1, one.digest)
    assert {one.outcome, other.outcome} == {"new", "unchanged"}
    [kept] = seals(world.client, OCTOBER, "csp")
    loser = ({one.close_number, other.close_number} - {kept.close_number}).pop()
    assert world.sealed(loser) == set()
    holds(world, one, *FIRST)


def test_a_close_that_was_overtaken_returns_the_newer_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.push(*FIRST)
    seal_all, newer = close._seal_all, []

    def overtaken(*arguments: Any) -> list[CloseResult]:
        monkeypatch.setattr(close, "_seal_all", seal_all)
        world.push(*LATE)
        newer.extend(closed(world))
        return seal_all(*arguments)

    monkeypatch.setattr(close, "_seal_all", overtaken)
    [older] = closed(world)
    assert (older.revision, older.digest, older.outcome) == (1, newer[0].digest, "unchanged")
    assert older.close_number < newer[0].close_number
    holds(world, older, *FIRST, *LATE)


def test_a_partition_added_meanwhile_makes_it_begin_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.push(*FIRST)
    write, said = barrier.write_control, []

    def and_grow(settings: Any, record: Any) -> Any:
        written = write(settings, record)
        monkeypatch.setattr(barrier, "write_control", write)
        migrate.place_starts(settings, world.client, range(3), print)
        add_partitions(settings, settings.kafka.topic, 3)
        world.push(*LATE)
        return written

    monkeypatch.setattr(barrier, "write_control", and_grow)
    [result] = close_month(
        world.settings, OCTOBER, agreement="csp", tell=said.append, waiting=QUICK, work=world.read_on
    )
    assert any("grew from 2 to 3 partitions" in line for line in said)
    assert result.close_number == 2
    holds(world, result, *FIRST, *LATE)
    assert set(seals(world.client, OCTOBER, "csp")[0].offsets) == {0, 1, 2}


def test_a_partition_that_is_only_announced_refuses_the_close(world: World) -> None:
    migrate.place_starts(world.settings, world.client, range(3), print)
    with pytest.raises(CheckFailed, match="is adding partition 2"):
        closed(world)
    assert seals(world.client, OCTOBER) == []
    add_partitions(world.settings, world.settings.kafka.topic, 3)
    assert closed(world)[0].counts == []


def test_no_worker_says_so_and_gives_up_at_the_deadline_with_the_lag(world: World) -> None:
    world.push(*FIRST)
    world.read_on()
    world.push(*LATE)
    said: list[str] = []
    with pytest.raises(CheckFailed) as gave_up:
        close_month(world.settings, OCTOBER, agreement=None, tell=said.append, waiting=Waiting(1.0))
    group = f"{world.settings.kafka.group}-g1"
    assert any(f"no worker is running in group {group}: start one with `rollcall worker`" in line for line in said)
    committed, ends = world.committed(), barrier._log_ends(world.settings, 2)
    for partition in (0, 1):
        lag = ends[partition] - committed[partition]
        assert f"partition {partition} has committed {committed[partition]} of {ends[partition]} (lag {lag})" in str(
            gave_up.value
        )
    assert seals(world.client, OCTOBER) == []


def test_a_job_that_commits_without_storing_here_is_found_out(world: World) -> None:
    world.push(*FIRST)
    with pytest.raises(CheckFailed, match="do worker and close use the same ROLLCALL_CLICKHOUSE_URL"):
        closed(world, work=lambda: world.commit(barrier._log_ends(world.settings, 2)))
    assert seals(world.client, OCTOBER) == []


def test_numbers_lost_with_a_restored_clickhouse_are_not_used_again(world: World) -> None:
    world.push(*FIRST)
    closed(world)
    closed(world)
    world.push(*LATE)
    for table in ("close_numbers", "control_places", "active_users", "seals", "seal_subjects"):
        world.client.command(f"TRUNCATE TABLE {table}")
    migrate.place_starts(world.settings, world.client, range(2), print)
    with pytest.raises(CheckFailed, match="stands already in partition"):
        closed(world, work=lambda: world.read_on(again=True))
    [result] = closed(world, work=lambda: world.read_on(again=True))
    assert result.close_number == 3
    holds(world, result, *FIRST, *LATE)


def test_every_agreement_gets_a_seal_and_an_empty_one_reports_zero(world: World) -> None:
    world.push(*FIRST, Login("b", "L1", "x"))
    said: list[str] = []
    results = close_month(world.settings, OCTOBER, tell=said.append, waiting=QUICK, work=world.read_on)
    assert [(r.agreement, r.outcome, sum(c.active_users for c in r.counts)) for r in results] == [
        ("csp", "new", len(truth(*FIRST))), ("spla", "new", 1),
    ]  # fmt: skip
    september = date(2026, 9, 1)
    empty = close_month(world.settings, september, tell=said.append, waiting=QUICK, work=world.read_on)
    assert [(r.counts, r.digest) for r in empty] == [([], hashlib.sha256(b"").hexdigest())] * 2
    assert any("no login at all: a zero report" in line for line in said)
    again = close_month(world.settings, september, tell=print, waiting=QUICK, work=world.read_on)
    assert [r.outcome for r in again] == ["unchanged"] * 2


def test_a_month_that_is_not_over_is_refused_without_waiting(world: World) -> None:
    with pytest.raises(CheckFailed, match="2149-01 is not over"):
        close_month(world.settings, date(2149, 1, 1), tell=print, waiting=QUICK, work=pytest.fail)
    with pytest.raises(ConfigurationError, match="1970-01 to 2149-05"):
        close_month(world.settings, date(2150, 1, 1), tell=print)
    assert seals(world.client, date(2149, 1, 1)) == []


def test_where_one_agreements_month_is_over_the_other_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The append times are as Kafka gave them; the month's end is what moves here.
    monkeypatch.setattr(close, "unfinished", lambda month, zones, ms: None if "UTC" in zones else f"not over {zones}")
    monkeypatch.setattr(close, "_zones", lambda versions, ground, id, month: "UTC" if id == "csp" else "…")
    one, other = closed(world, agreement=None)
    assert (one.outcome, other.outcome) == ("new", "refused")
    assert "not over" in str(other.reason)
    with pytest.raises(CheckFailed, match="spla: not over"):
        closed(world, agreement="spla")
    assert [s.agreement for s in seals(world.client, OCTOBER)] == ["csp"]


def test_an_unknown_agreement_names_those_that_exist(world: World) -> None:
    with pytest.raises(ConfigurationError, match="there is no agreement cps for 2026-10; there are: csp, spla"):
        closed(world, agreement="cps")
    assert world.client.query("SELECT count() FROM close_numbers").result_rows == [(0,)]


def test_a_sku_taken_out_of_the_catalogue_is_still_counted(world: World) -> None:
    world.push(*FIRST)
    [one] = closed(world)
    less = CATALOGUE.replace("  - {id: S2, name: two, programme: csp, family: f, deployment: cloud}\n", "")
    catalogue.apply(world.settings, world.client, less)
    [two] = closed(world)
    assert (two.outcome, two.digest) == ("unchanged", one.digest)
    holds(world, two, *FIRST)


def test_a_sku_that_goes_to_another_programme_and_a_new_zone_make_new_revisions(world: World) -> None:
    world.push(*FIRST)
    closed(world, agreement=None)
    moved = CATALOGUE.replace("name: two, programme: csp", "name: two, programme: spla")
    catalogue.apply(world.settings, world.client, moved)
    csp, spla = closed(world, agreement=None)
    assert (csp.outcome, spla.outcome) == ("new", "new")
    assert {c.sku for c in csp.counts} == {"S1"}
    assert {c.sku for c in spla.counts} == {"S2"}
    catalogue.apply(world.settings, world.client, moved.replace("Asia/Tokyo", "Asia/Seoul"))
    csp, spla = closed(world, agreement=None)
    assert (csp.outcome, csp.revision, csp.time_zone) == ("new", 3, "Asia/Seoul")
    assert spla.outcome == "unchanged"
    assert all(check.holds for check in verify_month(world.settings, OCTOBER))


def test_verify_finds_what_was_tampered_with_both_ways(world: World) -> None:
    world.push(*FIRST)
    closed(world)
    world.push(*LATE)
    [two] = closed(world)
    gone, strange = truth(*LATE).pop(), truth(Login("b", "S1", "strange")).pop()
    client = world.client
    client.command(f"DELETE FROM active_users WHERE hex(subject) = '{gone[2].hex().upper()}'")
    client.command(
        "INSERT INTO active_users SELECT toDate('2026-10-01'), 'b', 'S1', "
        f"unhex('{strange[2].hex()}'), (toDateTime64('2026-10-02', 6, 'UTC'), 's', 'i'), 4, 0"
    )
    [found] = verify_month(world.settings, OCTOBER, examples=5)
    assert not found.holds
    assert (found.missing, found.extra) == (1, 1)
    assert {(e.kind, e.tenant, e.sku, e.subject) for e in found.examples} == {
        ("extra", gone[0], gone[1], gone[2].hex()), ("missing", strange[0], strange[1], strange[2].hex()),
    }  # fmt: skip
    assert [check.faults for check in found.revisions] == [[], []]
    lost = FIRST[0].subject.hex().upper()
    client.command(f"DELETE FROM seal_subjects WHERE close_number = 1 AND sku = 'S1' AND hex(subject) = '{lost}'")
    [found] = verify_month(world.settings, OCTOBER)
    assert [len(check.faults) for check in found.revisions] == [1, 0]
    assert two.revision == 2
    with pytest.raises(ConfigurationError, match="2026-09 is not closed yet"):
        verify_month(world.settings, date(2026, 9, 1))


def test_explain_lists_what_the_digest_hashes(world: World) -> None:
    world.push(*FIRST)
    [result] = closed(world)
    world.push(*LATE)
    world.read_on()
    sealed = {(c.tenant, c.sku): c.digest for c in seals(world.client, OCTOBER, "csp")[0].counts}
    for tenant, sku in (("a", "S1"), ("b", "S1"), ("a", "S2")):
        shown = explain(world.settings, OCTOBER, tenant, sku, page=7)
        assert shown.seal is not None
        subjects = [row.subject for page in shown.pages for row in page]
        lines = "".join(f"{s}\n" for s in sorted(subjects))
        assert hashlib.sha256(lines.encode()).hexdigest() == sealed[tenant, sku]
    [[one]] = explain(world.settings, OCTOBER, "a", "S1", FIRST[0].subject.hex().upper()).pages
    assert (one.subject, one.source, one.first_login.tzinfo is not None) == (FIRST[0].subject.hex(), "/test", True)
    assert list(explain(world.settings, OCTOBER, "a", "S1", "00" * 16).pages) == []
    prefixed = {row.subject for page in explain(world.settings, OCTOBER, "a", "S1", "a").pages for row in page}
    assert prefixed == {e[2].hex() for e in truth(*FIRST) if e[:2] == ("a", "S1") and e[2].hex()[0] == "a"}
    assert result.revision == 1
    world.push(Login("a", "S1", "september", "2026-09"), Login("a", "S1", "september", "2026-09"))
    world.read_on(again=True)
    live = explain(world.settings, date(2026, 9, 1), "a", "S1")
    assert live.seal is None
    assert [row.subject for page in live.pages for row in page] == [Login("a", "S1", "september").subject.hex()]
    for wrong in (("a", "S9"), ("z", "S1")):
        with pytest.raises(ConfigurationError, match=r"the catalogue has no (SKU S9|tenant z)"):
            explain(world.settings, OCTOBER, *wrong)
    with pytest.raises(ConfigurationError, match="is not a subject"):
        explain(world.settings, OCTOBER, "a", "S1", "xyz")


def test_counts_of_a_revision_that_is_not_there_name_those_that_are(world: World) -> None:
    world.push(*FIRST)
    with pytest.raises(ConfigurationError, match="2026-10 is not closed yet"):
        sealed_counts(world.client, OCTOBER)
    closed(world)
    with pytest.raises(ConfigurationError, match="has no revision 2; there are csp revision 1"):
        sealed_counts(world.client, OCTOBER, 2)
    assert describe(world.settings).partitions == 2
