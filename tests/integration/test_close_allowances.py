"""Who is left out of a seal, on the real engine, held against a judgement of each subject by itself.

Rows are planted in the table and the seal is made on a ground of the test's own: the barrier has its own tests.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client

from infra import catalogue as stored
from infra import erasures
from infra.clickhouse.client import connect
from infra.lookups import Asker
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.catalogue import parse_catalogue
from schemas.close import Seal
from schemas.identity import canonical
from schemas.settings import Settings
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import rows_by_cell
from stream_jobs.month_close.digest import cell_digest
from stream_jobs.month_close.erased_names import erased_names
from stream_jobs.month_close.explain import explain
from stream_jobs.month_close.places import Ground
from stream_jobs.month_close.rows import rows_of
from stream_jobs.month_close.scope import Scope, scopes_of
from stream_jobs.month_close.seal import make_seal, sizes
from stream_jobs.month_close.unattended.behind import changed_since, seal_heads
from stream_jobs.month_close.verify import verify_month

OCTOBER = date(2026, 10, 1)
CATALOGUE = """
programmes: {csp: {time_zone: Asia/Tokyo}}
tenants:
  - {id: a, name: A}
  - {id: b, name: B, fold_case: false}
  - {id: c, name: C}
skus:
  - {id: S1, name: one, programme: csp, family: f, deployment: cloud}
  - {id: S2, name: two, programme: csp, family: f, deployment: cloud}
exclusions:
  - {tenant: a, pattern: "ADM-*", reason: administration}
  - {tenant: a, subject: Ünal, skus: [S1], reason: own-testing, valid_from: 2026-10-05, valid_to: 2026-10-20}
  - {tenant: b, pattern: "adm-?", reason: administration, valid_to: 2026-10-15}
  - {tenant: a, pattern: "*_100%'x", reason: demonstration}
free_users:
  - {tenant: a, pattern: "Ün?l", reason: own-staff}
  - {tenant: a, subject: adm-x, reason: own-staff}
  - {tenant: b, subject: Adm-1, reason: own-staff, valid_from: 2026-10-10}
trials:
  - {tenant: a, sku: S2, start: 2026-09-25, days: 20}
  - {tenant: c, sku: S1, start: 2026-10-01, days: 30}
  - {tenant: b, sku: S1, start: 2026-10-11, days: 15}
rules:
  - {id: trials-2026, kind: trials, valid_from: 2026-10, counted: false, source: test}
"""
NAMES = ["adm-1", "Adm-1", "adm-22", "ADM-x", "ünal", "ÜNAL", "bob", "it_100%'x", "it_1000'x", "other"]


class Login(NamedTuple):
    tenant: str
    sku: str
    name: str
    day: int
    behind: bool = False

    @property
    def subject(self) -> bytes:
        return hashlib.sha256(f"{self.tenant}/{canonical(self.name, self.tenant != 'b')}".encode()).digest()[:16]


class World:
    def __init__(self, settings: Settings, client: Client) -> None:
        self.settings, self.client = settings, client
        self.logins: list[Login] = []
        self.number = 0
        self.yaml = CATALOGUE

    def log_in(self, *logins: Login) -> None:
        self.logins += logins
        names = {(login.tenant, login.subject, canonical(login.name, login.tenant != "b")) for login in logins}
        self.client.insert("subject_names", sorted(names), column_names=["tenant", "subject", "name"])
        rows = [
            [
                OCTOBER, login.tenant, login.sku, login.subject,
                (datetime(2026, 10, login.day, 12, tzinfo=UTC), "/s", f"{login.day:02}"), 1 << login.day,
                999 if login.behind else 0,
            ]
            for login in logins
        ]  # fmt: skip
        columns = ["month", "tenant", "sku", "subject", "first_event", "active_days", "recorded_in"]
        for part in (rows[::2], rows[1::2]):  # the same subject is in several parts
            if part:
                self.client.insert("active_users", part, column_names=columns)

    def apply(self, yaml: str) -> None:
        self.yaml = yaml
        stored.store(self.client, (stored_versions(self.client).newest or 0) + 1, yaml)

    def scope(self, rows: Any) -> Scope:
        versions = stored_versions(self.client)
        erased, cells = erased_names(self.settings, self.client), rows_by_cell(self.client, rows)
        [scope] = scopes_of(versions, versions.newest or 0, OCTOBER, cells, [], erased)
        return scope

    def close(self) -> Seal:
        self.number += 1
        versions, rows = stored_versions(self.client), rows_of(self.client, OCTOBER, self.number)
        ground = Ground(self.number, "c", "t", {0: 1}, {0: 1}, {0: versions.newest or 0})
        return make_seal(
            self.client, rows, self.scope(rows), ground, lambda seal: {sku: "user" for _, sku in sizes(seal)}
        )

    def expected(self) -> dict[tuple[str, str, bytes], str]:
        """Each subject's stored reason, judged one by one."""
        catalogue, found = parse_catalogue(self.yaml), {}
        active: dict[tuple[str, str, bytes], set[int]] = {}
        for login in self.logins:
            if not login.behind:
                active.setdefault((login.tenant, login.sku, login.subject), set()).add(login.day)
        names = {login.subject: canonical(login.name, login.tenant != "b") for login in self.logins}
        for (tenant, sku, subject), days in active.items():
            fold, name = tenant != "b", names[subject]
            entries: list[tuple[str, Any]] = []
            for kind, listed in (("excluded", catalogue.exclusions), ("free", catalogue.free_users)):
                for e in listed:
                    wanted = canonical(e.subject or e.pattern or "", fold)
                    fits = name == wanted if e.subject else fnmatchcase(name, wanted)
                    if e.tenant == tenant and sku in (e.skus or [sku]) and fits:
                        entries.append((f"{kind}:{e.reason}", e.validity))
            entries += [("trial", t.validity) for t in catalogue.trials if (t.tenant, t.sku) == (tenant, sku)]
            covering = [
                (reason, {d for d in days if (v[0] or date.min) <= date(2026, 10, d) < (v[1] or date.max)})
                for reason, v in entries
            ]
            covering = [(reason, covered) for reason, covered in covering if covered]
            left = bool(covering) and set.union(*(covered for _, covered in covering)) == days
            found[tenant, sku, subject] = covering[0][0] if left else ""
        return found

    def sealed(self, number: int) -> dict[tuple[str, str, bytes], str]:
        rows = self.client.query(
            "SELECT tenant, sku, hex(subject), reason, counted FROM seal_subjects WHERE close_number = %(n)s",
            parameters={"n": number},
        ).result_rows
        assert all(counted == (reason == "") for *_, reason, counted in rows)
        found = {(t, s, bytes.fromhex(h)): reason for t, s, h, reason, _ in rows}
        assert len(found) == len(rows)
        return found


@pytest.fixture
def world(make_settings: Callable[..., Any]) -> Iterator[World]:
    settings = make_settings(CATALOGUE, kafka={"partitions": 1})
    with connect(settings) as client:
        # A merge may add days from behind the close to a subject's: it is judged by them too, then.
        client.command("SYSTEM STOP MERGES active_users")
        yield World(settings, client)


def check(world: World, seal: Seal) -> None:
    """The seal is what the judgement of each subject by itself says, and `verify` holds."""
    expected = world.expected()
    found = world.sealed(seal.close_number)
    assert found == expected
    assert {(o.tenant, o.sku, f"{o.kind}:{o.reason}".rstrip(":")): o.subjects for o in seal.left_out} == Counter(
        (tenant, sku, reason) for (tenant, sku, _), reason in expected.items() if reason
    )
    counted: dict[tuple[str, str], set[bytes]] = {}
    for (tenant, sku, subject), reason in expected.items():
        if not reason:
            counted.setdefault((tenant, sku), set()).add(subject)
    assert {(c.tenant, c.sku): (c.active_users, c.digest) for c in seal.counts} == {
        cell: (len(subjects), cell_digest(subjects)) for cell, subjects in counted.items()
    }
    [result] = verify_month(world.settings, OCTOBER)
    assert result.holds, result


def random_logins(rng: random.Random, count: int) -> list[Login]:
    return [
        Login(
            rng.choice("abc"), rng.choice(["S1", "S2"]), rng.choice(NAMES), rng.choice([3, 7, 12, 18, 25, 31]),
            rng.random() < 0.1,
        )
        for _ in range(count)
    ]  # fmt: skip


def test_each_subject_is_counted_or_left_out_as_judged_by_itself(world: World) -> None:
    rng = random.Random(4)
    everything: set[str] = set()
    for round in range(3):
        world.log_in(*random_logins(rng, 45))
        seal = world.close()
        check(world, seal)
        assert seal.revision == round + 1
        everything |= set(world.expected().values())
    assert everything == {
        "", "excluded:administration", "excluded:own-testing", "excluded:demonstration", "free:own-staff", "trial",
    }  # fmt: skip


def test_one_day_that_nothing_covers_and_the_subject_counts(world: World) -> None:
    world.log_in(Login("c", "S1", "bob", 7), Login("c", "S1", "other", 7), Login("c", "S1", "other", 31))
    seal = world.close()
    check(world, seal)
    assert [(o.kind, o.subjects) for o in seal.left_out] == [("trial", 1)]
    world.log_in(Login("c", "S1", "bob", 31))
    second = world.close()
    check(world, second)
    assert (second.revision, second.left_out, second.counts[0].active_users) == (2, [], 2)


def test_whom_a_seal_left_out_is_looked_at_again_though_the_rows_are_merged(world: World) -> None:
    def changed() -> dict[tuple[str, date], str]:
        return changed_since(world.client, stored_versions(world.client), seal_heads(world.client))

    world.log_in(Login("c", "S1", "always", 3), Login("b", "S1", "trial", 11), Login("b", "S1", "paid", 11))
    world.log_in(Login("b", "S1", "paid", 10))
    world.close()
    assert changed() == {}
    world.client.command("SYSTEM START MERGES active_users")
    world.log_in(Login("c", "S1", "always", 30, behind=True), Login("b", "S1", "paid", 30, behind=True))
    world.client.command("OPTIMIZE TABLE active_users FINAL")
    assert changed() == {}, "covered on that day too, or counted anyway"
    world.log_in(Login("b", "S1", "trial", 10, behind=True))
    world.client.command("OPTIMIZE TABLE active_users FINAL")
    assert changed() == {("csp", OCTOBER): "somebody whom close 1 left out has logged in on another day"}
    world.close()
    assert changed() == {}


def test_an_erasure_changes_no_count(world: World) -> None:
    """Of people whom entries name exactly: each by an entry that no pattern would stand in for with the same reason."""
    hashed = MonthlyPseudonyms(pseudonym_keys(world.settings)).at(OCTOBER)
    people = [("a", "ünal", 6), ("b", "Adm-1", 12), ("a", "bob", 6)]
    subjects = [hashed.of(tenant, name) for tenant, name, _ in people]
    names = [[tenant, subject, name] for (tenant, name, _), subject in zip(people, subjects, strict=True)]
    world.client.insert("subject_names", names, column_names=["tenant", "subject", "name"])
    rows = [
        [OCTOBER, tenant, "S1", subject, (datetime(2026, 10, day, 12, tzinfo=UTC), "/s", name), 1 << day, 0]
        for (tenant, name, day), subject in zip(people, subjects, strict=True)
    ]
    columns = ["month", "tenant", "sku", "subject", "first_event", "active_days", "recorded_in"]
    world.client.insert("active_users", rows, column_names=columns)
    before = world.close()
    left_out = [(o.tenant, o.kind, o.reason, o.subjects) for o in before.left_out]
    assert left_out == [("a", "excluded", "own-testing", 1), ("b", "free", "own-staff", 1)]
    for (tenant, _, _), subject in zip(people, subjects, strict=True):
        erasures.store(world.client, tenant, [subject], "tester", "a test")
    assert erasures.sweep(world.client, world.settings.clickhouse) == 3
    after = world.close()
    assert (after.revision, after.digest, after.left_out) == (1, before.digest, before.left_out)
    erased = erased_names(world.settings, world.client)
    assert changed_since(world.client, stored_versions(world.client), seal_heads(world.client), erased) == {}
    world.apply(CATALOGUE.replace("subject: Ünal", "subject: Bob"))  # an erased person is named later
    third = world.close()
    assert (third.revision, [(o.tenant, o.reason) for o in third.left_out]) == (
        2, [("a", "own-testing"), ("b", "own-staff")]
    ), "bob by his name; of ünal only a pattern is left, which finds nobody"


def test_another_reason_is_another_revision_and_the_same_is_the_same(world: World) -> None:
    world.log_in(Login("a", "S1", "adm-1", 3), Login("a", "S1", "bob", 3))
    first = world.close()
    assert world.close() == first
    assert world.sealed(2) == {}
    world.apply(CATALOGUE.replace('pattern: "ADM-*", reason: administration', 'pattern: "ADM-*", reason: evaluation'))
    second = world.close()
    assert (second.revision, second.digest) == (2, first.digest)
    assert [o.reason for o in second.left_out] == ["evaluation"]
    check(world, second)
    world.apply(CATALOGUE.replace("valid_to: 2026-10-20", "valid_to: 2026-10-21"))  # concerns nobody
    assert world.close().revision == 3
    assert [o.reason for o in world.close().left_out] == ["administration"]


def test_verify_finds_a_reason_that_was_tampered_with_and_a_left_out_subject_that_is_gone(world: World) -> None:
    world.log_in(Login("a", "S1", "adm-1", 3), Login("a", "S1", "bob", 3))
    seal = world.close()
    subject = Login("a", "S1", "adm-1", 3).subject.hex()
    world.client.command(
        "INSERT INTO seal_subjects SELECT close_number, month, agreement, tenant, 'S2', subject, first_event, counted,"
        " reason FROM seal_subjects WHERE NOT counted"
    )
    [result] = verify_month(world.settings, OCTOBER)
    assert "the seal says 0 left out, the stored subjects give 1" in result.revisions[0].faults[0]
    assert [(e.kind, e.sku, e.subject) for e in result.examples] == [("extra", "S2", subject)]
    world.client.command("DELETE FROM seal_subjects WHERE NOT counted")
    [result] = verify_month(world.settings, OCTOBER)
    assert [(e.kind, e.sku, e.subject) for e in result.examples] == [("missing", "S1", subject)]
    assert seal.revision == 1


def test_explain_shows_who_counts_and_who_is_left_out_and_who_they_are(world: World) -> None:
    world.log_in(Login("a", "S1", "ADM-1", 3), Login("a", "S1", "Bob", 7), Login("a", "S1", "bob", 3))
    seal = world.close()

    def shown(**more: Any) -> set[tuple[str, str, str | None]]:
        found = explain(world.settings, OCTOBER, "a", "S1", page=1, **more)
        assert found.seal == seal
        return {(row.id, row.reason, row.name) for page in found.pages for row in page}

    assert shown() == {("03", "", None)}
    assert shown(everybody=True) == {("03", "", None), ("03", "excluded:administration", None)}
    asker = Asker("tester", "a test")
    assert shown(everybody=True, names=asker) == {("03", "", "bob"), ("03", "excluded:administration", "adm-1")}
