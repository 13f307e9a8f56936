"""What is done about aliases: proposed from a file or from events, accepted and refused by a person.

Raises ConfigurationError for what cannot be meant, CheckFailed, and the driver's errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from clickhouse_connect.driver.client import Client

from infra.errors import ConfigurationError
from infra.generation import in_force
from infra.pseudonyms import MonthlyPseudonyms
from schemas.calendar import month_name, next_month
from schemas.catalogue import Catalogue, Tenant
from stream_jobs.month_close.aliases.components import Link, link, representatives
from stream_jobs.month_close.aliases.exports import Group
from stream_jobs.month_close.aliases.ledger import ALWAYS, NEVER, Act, ActKind, acts, append, open_proposals

EVENTS = "identities of events"


@dataclass(frozen=True)
class Hand:
    """Whose decision it is, when and why."""

    actor: str
    at: datetime
    why: str


def propose_groups(
    client: Client, catalogue: Catalogue, pseudonyms: MonthlyPseudonyms, tenant: str, groups: Sequence[Group],
    origin: str, hand: Hand, kind: ActKind = "proposed",
) -> list[Act]:  # fmt: skip
    """Stores the names and proposes each group's links; what was proposed or decided just so before is left out.

    Where the pseudonym key changes, or names begin to lose their domain, the months behind are a proposal of their own.
    """
    owner = next((t for t in catalogue.tenants if t.id == tenant), None)
    if owner is None:
        raise ConfigurationError(f"the catalogue has no tenant {tenant}: mend the spelling, or add it first")
    named: dict[bytes, str] = {}
    found: dict[tuple[Link, date, date], Act] = {}
    for group in groups:
        for start, end in _by_meaning(pseudonyms, owner, group.valid_from or ALWAYS, group.valid_to or NEVER):
            hashed = pseudonyms.at(start.replace(day=1))
            names = [owner.identity(name, start.replace(day=1)) for name in group.names]
            first, *others = [hashed.of(tenant, name) for name in names]
            named.update(zip((first, *others), names, strict=True))
            for other in others:
                if other != first:
                    pair = link(first, other)
                    found[pair, start, end] = Act(
                        kind, tenant, pair, start, end, origin, hand.why, hand.actor, hand.at
                    )  # fmt: skip
    if kind == "proposed":
        known = {(act.link, act.valid_from, act.valid_to) for act in acts(client, tenant)}
        found = {key: act for key, act in found.items() if key not in known}
    linked = {one for pair, *_ in found for one in pair}
    _store_names(client, tenant, {subject: name for subject, name in named.items() if subject in linked})
    return append(client, list(found.values()))


def propose_seen(client: Client, catalogue: Catalogue, hand: Hand, tenant: str | None = None) -> list[Act]:
    """Proposes what events showed and nobody was told of: links by which somebody who logs in would be another too."""
    found: list[Act] = []
    for owner in catalogue.tenants:
        if tenant in (None, owner.id) and owner.alias_policy.identities == "propose":
            told = defaultdict[Link, list[tuple[date, date]]](list)
            for act in acts(client, owner.id):
                told[act.link].append((act.valid_from, act.valid_to))
            for pair, start, end in _merging(client, owner.id):
                if (start := first_untold(told[pair], start, end)) < end:
                    found.append(
                        Act("proposed", owner.id, pair, start, end, EVENTS, hand.why, hand.actor, hand.at)
                    )  # fmt: skip
    return append(client, found)


def decide(
    client: Client, numbers: Iterable[int], kind: ActKind, hand: Hand, start: date | None = None,
    end: date | None = None,
) -> list[Act]:  # fmt: skip
    """Accepts or refuses proposals by their numbers, in their own months or in those given."""
    known = {act.number: act for act in acts(client)}
    found = []
    for number in numbers:
        act = known.get(number)
        if act is None or act.act != "proposed":
            raise ConfigurationError(f"{number} is no proposal: `rollcall alias list` shows those that are open")
        months = act._replace(valid_from=start or act.valid_from, valid_to=end or act.valid_to)
        if kind == "refused":  # whatever is refused of a month is refused of all of it
            first, behind = months_of([months])
            months = months._replace(valid_from=first, valid_to=behind)
        if not months.whole_months:
            raise ConfigurationError(
                f"proposal {number} holds from {act.valid_from} to {act.valid_to}, and an alias for whole months: say "
                f"which with --from-month and --to-month, as --from-month {month_name(act.valid_from)} --to-month "
                f"{month_name(_ceiling(act.valid_to))}"
            )
        if months.valid_to <= months.valid_from:
            raise ConfigurationError(f"proposal {number}: --to-month is the first month that is out; mend one of them")
        found.append(
            months._replace(act=kind, origin=f"proposal {number}", why=hand.why, actor=hand.actor, at=hand.at)
        )
    return append(client, found)


def waiting(client: Client, tenant: str | None = None) -> list[Act]:
    """The open proposals."""
    return open_proposals(acts(client, tenant))


def months_of(found: Iterable[Act]) -> tuple[date, date]:
    """From the first month of them to the first behind all."""
    listed = list(found)
    return min(act.valid_from for act in listed).replace(day=1), max(_ceiling(act.valid_to) for act in listed)


def _merging(client: Client, tenant: str) -> list[tuple[Link, date, date]]:
    rows = client.query(
        "SELECT one, other, min(first_month), max(last_month) FROM identity_links WHERE tenant = %(tenant)s"
        " GROUP BY one, other ORDER BY one, other",
        parameters={"tenant": tenant},
    ).result_rows
    if not rows:
        return []
    active = client.query(
        f"SELECT DISTINCT subject FROM {in_force(client).table} WHERE tenant = %(tenant)s AND subject IN"
        " (SELECT arrayJoin([one, other]) FROM identity_links WHERE tenant = %(tenant)s)",
        parameters={"tenant": tenant},
    ).result_rows
    standing = representatives((one, other) for one, other, *_ in rows)
    count: dict[bytes, int] = {}
    for (subject,) in active:
        count[standing[subject]] = count.get(standing[subject], 0) + 1
    return [
        ((one, other), start, next_month(end)) for one, other, start, end in rows if count.get(standing[one], 0) > 1
    ]


def first_untold(told: Iterable[tuple[date, date]], start: date, end: date) -> date:
    """From when on nobody was told of a link, of the months from `start` to `end` in which it was seen; `end`: nowhere.

    `told`: the months of its proposals and decisions. One that begins later leaves what is before it to be told.
    """
    for first, behind in sorted(told):
        if first <= start < behind:
            start = min(behind, end)
    return start


def _by_meaning(pseudonyms: MonthlyPseudonyms, owner: Tenant, start: date, end: date) -> list[tuple[date, date]]:
    """The interval, cut where a name begins to have another pseudonym."""
    changes = {*pseudonyms.by_start, *([owner.truncate_domain] if owner.truncate_domain else [])}
    return list(pairwise([start, *(month for month in sorted(changes) if start < month < end), end]))


def _ceiling(day: date) -> date:
    return day if day.day == 1 else next_month(day.replace(day=1))


def _store_names(client: Client, tenant: str, named: dict[bytes, str]) -> None:
    erased = {
        bytes(row[0]) for row in client.query(
            "SELECT subject FROM subject_erasures WHERE tenant = %(tenant)s", parameters={"tenant": tenant}
        ).result_rows
    }  # fmt: skip
    rows = [[tenant, subject, name] for subject, name in named.items() if subject not in erased]
    if rows:
        client.insert("subject_names", rows, column_names=["tenant", "subject", "name"])
