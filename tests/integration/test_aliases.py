"""People with several names, on the real engine: counts, exclusions, corrections, views, against a brute-force oracle.

Rows are planted in the table and seals are made on a ground of the test's own: the barrier has its own tests.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from infra import catalogue as stored
from infra.clickhouse.client import connect
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.close import Seal
from schemas.settings import Settings
from stream_jobs.month_close.aliases.components import link
from stream_jobs.month_close.aliases.ledger import ALWAYS, NEVER, Act, acts, append
from stream_jobs.month_close.aliases.resolve import current, resolve, resolve_again
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import live_counts, rows_by_cell
from stream_jobs.month_close.explain import explain
from stream_jobs.month_close.places import Ground
from stream_jobs.month_close.rows import rows_of
from stream_jobs.month_close.scope import scopes_of
from stream_jobs.month_close.seal import make_seal, sizes
from stream_jobs.month_close.verify import verify_month

OCTOBER = date(2026, 10, 1)
CATALOGUE = """
programmes: {csp: {time_zone: Asia/Tokyo}}
tenants:
  - {id: a, name: A}
  - {id: b, name: B, alias_policy: {identities: apply, from_month: 2026-10}}
  - {id: c, name: C}
skus:
  - {id: S1, name: one, programme: csp, family: f, deployment: cloud}
  - {id: S2, name: two, programme: csp, family: f, deployment: cloud}
"""
EXCLUSIONS = """exclusions:
  - {tenant: a, pattern: "n1*", reason: administration}
  - {tenant: b, subject: n2, reason: own-testing, valid_to: 2026-10-04}
  - {tenant: c, subject: n3, reason: own-testing}
"""
NAMES = [f"n{i}" for i in range(24)]
Login = tuple[str, str, str, int]
"""Tenant, SKU, name, day."""
Same = tuple[str, str, str]
"""Tenant, and two names of one person."""


class World:
    def __init__(self, settings: Settings) -> None:
        self.settings, self.client = settings, connect(settings)
        self.hashed = MonthlyPseudonyms(pseudonym_keys(settings)).at(OCTOBER)
        self.number = 0

    def log_in(self, logins: list[Login]) -> None:
        named = {(t, self.hashed.of(t, name), name) for t, _, name, _ in logins}
        self.client.insert("subject_names", sorted(named), column_names=["tenant", "subject", "name"])
        rows = [
            [OCTOBER, t, sku, self.hashed.of(t, name), (datetime(2026, 10, d, tzinfo=UTC), "/s", f"{d:02}{name}"),
             1 << d, self.number] for t, sku, name, d in logins
        ]  # fmt: skip
        columns = ["month", "tenant", "sku", "subject", "first_event", "active_days", "recorded_in"]
        self.client.insert("active_users", rows, column_names=columns)

    def decide(self, kind: Any, found: list[Same], start: date = ALWAYS, end: date = NEVER) -> None:
        at = datetime(2026, 11, 1, tzinfo=UTC)
        append(self.client, [
            Act(kind, t, link(self.hashed.of(t, x), self.hashed.of(t, y)), start, end, "test", "why", "who", at)
            for t, x, y in found
        ])  # fmt: skip

    def show(self, found: list[Same]) -> None:
        """As a worker stores what events say of themselves."""
        rows = [
            [t, *link(self.hashed.of(t, x), self.hashed.of(t, y)), 3, OCTOBER, OCTOBER] for t, x, y in found
        ]  # fmt: skip
        columns = ["tenant", "one", "other", "kinds", "first_month", "last_month"]
        self.client.insert("identity_links", rows, column_names=columns)

    def apply(self, yaml: str) -> None:
        stored.store(self.client, (stored_versions(self.client).newest or 0) + 1, yaml)

    def close(self) -> Seal:
        self.number += 1
        versions = stored_versions(self.client)
        version = versions.newest or 0
        aliases = resolve(self.settings, self.client, versions.at(version), [OCTOBER])[OCTOBER]
        rows = rows_of(self.client, OCTOBER, self.number, aliases)
        [scope] = scopes_of(versions, version, OCTOBER, rows_by_cell(self.client, rows), [])
        ground = Ground(self.number, "c", "t", {0: 1}, {0: 1}, {0: version})
        return make_seal(self.client, rows, scope, ground, lambda seal: {sku: "user" for _, sku in sizes(seal)})

    def verified(self) -> bool:
        return all(result.holds for result in verify_month(self.settings, OCTOBER))


@pytest.fixture
def world(make_settings: Any) -> World:
    return World(make_settings(CATALOGUE))


def people(logins: list[Login], same: list[Same]) -> dict[tuple[str, str, frozenset[str]], list[Login]]:
    """The oracle: the logins of each person, by tenant, SKU and all names of that person."""
    near = defaultdict(set)
    for t, x, y in same:
        near[t, x].add(y)
        near[t, y].add(x)
    found = defaultdict(list)
    for login in logins:
        t, sku, name, _ = login
        names, left = {name}, [name]
        while left:
            new = near[t, left.pop()] - names
            names |= new
            left += new
        found[t, sku, frozenset(names)].append(login)
    return found


def counted(found: dict[tuple[str, str, frozenset[str]], list[Login]]) -> dict[tuple[str, str], int]:
    cells: dict[tuple[str, str], int] = defaultdict(int)
    for t, sku, _ in found:
        cells[t, sku] += 1
    return dict(cells)


def told(seal: Seal) -> dict[tuple[str, str], int]:
    return {(c.tenant, c.sku): c.active_users for c in seal.counts}


def viewed(client: Client, view: str, *columns: str) -> dict[Any, int]:
    rows = client.query(f"SELECT {', '.join(columns)}, active_users FROM {view}").result_rows
    return {row[:-1]: row[-1] for row in rows}


def random_logins(dice: random.Random) -> list[Login]:
    return [
        (dice.choice("abc"), dice.choice(["S1", "S2"]), dice.choice(NAMES), dice.randint(1, 31)) for _ in range(120)
    ]  # fmt: skip


def days(found: dict[tuple[str, str, frozenset[str]], list[Login]]) -> dict[tuple[date, str, str], int]:
    active: dict[tuple[date, str, str], int] = defaultdict(int)
    for (t, sku, _), logins in found.items():
        for day in {day for *_, day in logins}:
            active[OCTOBER.replace(day=day), t, sku] += 1
    return dict(active)


def test_a_person_counts_once_however_the_names_came_to_be_linked(world: World) -> None:
    dice = random.Random(1)
    logins = random_logins(dice)
    world.log_in(logins)
    first = world.close()
    assert told(first) == counted(people(logins, []))
    assert first.alias_versions == {}

    catalogue = [("a", "n1", "n2"), ("a", "n2", "ghost"), ("a", "ghost", "n4")]
    accepted = [("c", *dice.sample(NAMES, 2)) for _ in range(8)]
    shown = [("b", *dice.sample(NAMES, 2)) for _ in range(8)]
    world.show([*shown, ("c", "n8", "n9"), ("b", "n5", "n6")])
    world.decide("accepted", [*accepted, ("c", "n6", "n7")])
    world.decide("accepted", [("a", "n8", "n9")], OCTOBER.replace(month=11), NEVER)
    world.decide("refused", [("c", "n6", "n7"), ("b", "n5", "n6")])
    world.decide("proposed", [("a", "n5", "n6")])
    world.apply(CATALOGUE + 'aliases: [{tenant: a, same: [n1, N2], reason: r}, {tenant: a, same: [n2, ghost, " n4"],'
                " reason: r, from_month: 2026-10, to_month: 2026-11},"
                " {tenant: a, same: [n10, n11], reason: r, to_month: 2026-10}]")  # fmt: skip
    refused = link_names(("c", "n6", "n7"), ("b", "n5", "n6"))
    same = [s for s in [*catalogue, *accepted, *shown] if link_names(s).isdisjoint(refused)]
    found = people(logins, same)
    assert counted(found) != counted(people(logins, []))

    months = resolve_again(world.settings, world.client, date(2026, 11, 23))
    assert OCTOBER in months
    assert {(c.tenant, c.sku): c.active_users for c in live_counts(world.client, OCTOBER)} == counted(found)
    assert viewed(world.client, "active_users_by_month", "tenant", "sku") == counted(found)
    assert viewed(world.client, "active_users_by_day", "day", "tenant", "sku") == days(found)

    second = world.close()
    assert told(second) == counted(found)
    assert second.revision == 2
    assert set(second.alias_versions) == {"a", "b", "c"}
    assert all(told(second)[cell] <= number for cell, number in told(first).items())
    assert world.verified()
    assert world.close() == second  # nothing new: the same revision

    # The sealed set: of each person the smallest pseudonym, with the first login under any name.
    sealed = {
        (t, sku, bytes(s)): (time.replace(tzinfo=UTC), id) for t, sku, s, time, id in world.client.query(
            "SELECT tenant, sku, subject, first_event.1, first_event.3 FROM seal_subjects WHERE close_number = %(n)s",
            parameters={"n": second.close_number},
        ).result_rows
    }  # fmt: skip
    assert sealed == {
        (t, sku, min(world.hashed.of(t, name) for name in names)): min(
            (datetime(2026, 10, d, tzinfo=UTC), f"{d:02}{name}") for *_, name, d in theirs
        )
        for (t, sku, names), theirs in found.items()
    }  # fmt: skip
    [page] = explain(world.settings, OCTOBER, "a", "S1").pages
    person = min(world.hashed.of("a", name) for name in ("n1", "n2", "ghost", "n4"))
    [shown_person] = [s for s in page if s.subject == person.hex()]
    assert set(shown_person.identities) == {world.hashed.of("a", n).hex() for n in ("n1", "n2", "ghost", "n4")}

    # Parted again: a correction; the old revision still holds by its own aliases.
    world.decide("refused", accepted)
    third = world.close()
    assert told(third) == counted(people(logins, [s for s in same if s[0] != "c"]))
    assert third.revision == 3
    assert world.verified()
    assert current(world.client, OCTOBER) == third.alias_versions


def link_names(*found: Same) -> set[tuple[str, frozenset[str]]]:
    return {(t, frozenset((x, y))) for t, x, y in found}


@pytest.mark.parametrize("hit", ["component", "identity"])
def test_an_exclusion_hits_a_name_or_all_of_the_person(world: World, hit: str) -> None:
    dice = random.Random(2)
    logins = random_logins(dice)
    world.log_in(logins)
    same = [(t, *dice.sample(NAMES, 2)) for t in "ab" for _ in range(9)]
    world.decide("accepted", same)
    world.apply(f"{CATALOGUE}{EXCLUSIONS}exclusions_hit: {hit}\n")
    seal = world.close()

    def covered(tenant: str, name: str, day: int) -> bool:
        return (
            (tenant == "a" and name.startswith("n1")) or (tenant, name) == ("c", "n3")
            or ((tenant, name) == ("b", "n2") and day < 4)
        )  # fmt: skip

    left_out: dict[tuple[str, str], int] = defaultdict(int)
    found = people(logins, same)
    for (t, sku, names), theirs in found.items():
        if hit == "component":
            out = all(any(covered(t, name, day) for name in names) for *_, day in theirs)
        else:
            out = all(covered(t, name, day) for *_, name, day in theirs)
        left_out[t, sku] += out
    assert any(left_out.values())
    assert told(seal) == {c: n - left_out[c] for c, n in counted(found).items() if n > left_out[c]}
    held: dict[tuple[str, str], int] = defaultdict(int)
    for part in seal.left_out:
        held[part.tenant, part.sku] += part.subjects
    assert dict(held) == {cell: n for cell, n in left_out.items() if n}
    assert world.verified()
    assert world.close() == seal


def test_two_that_write_at_once_get_numbers_of_their_own(world: World) -> None:
    world.decide("proposed", [("a", "n1", "n2"), ("a", "n2", "n3")])
    world.decide("accepted", [("a", "n1", "n2")])
    assert [act.number for act in acts(world.client)] == [1, 2, 3]
