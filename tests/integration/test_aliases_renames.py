"""The 5,259 renames of a chat channel (examples/data/README.md), cut to months, against a search by brute force."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from infra.clickhouse.client import connect
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.calendar import next_month
from schemas.identity import canonical
from stream_jobs.month_close.aliases.components import representatives
from stream_jobs.month_close.aliases.desk import Hand, decide, propose_groups, waiting
from stream_jobs.month_close.aliases.exports import Group, from_csv
from stream_jobs.month_close.aliases.resolve import resolve_again
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.count import live_counts

DATA = Path(__file__).parents[2] / "examples" / "data" / "irc_ubuntu_activity"
CATALOGUE = """
programmes: {chat: {time_zone: UTC}}
tenants: [{id: irc, name: Channel}]
skus: [{id: CHAT, name: chat, programme: chat, family: f, deployment: cloud}]
"""


def read(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def persons(pairs: Iterable[tuple[str, str]], users: set[str]) -> list[set[str]]:
    """The oracle: names are put together for as long as any two of them are one person's."""
    groups = [{user} for user in users]
    for one, other in pairs:
        touched = [group for group in groups if one in group or other in group]
        groups = [group for group in groups if group not in touched]
        groups.append({one, other}.union(*touched))
    return [group for group in groups if group & users]


def test_renames_hold_in_their_months(make_settings: Any) -> None:
    users: dict[date, set[str]] = defaultdict(set)
    for event in read("events.csv.gz"):
        users[date.fromisoformat(f"{event['timestamp'][:7]}-01")].add(canonical(event["user"]))
    renames: dict[date, list[tuple[str, str]]] = defaultdict(list)
    lines = ["name,same,from,to"]
    for row in read("renames.csv.gz"):
        month = date.fromisoformat(f"{row['date'][:7]}-01")
        old, new = canonical(row["old"]), canonical(row["new"])
        if old != new:
            renames[month].append((old, new))
        quoted = ",".join('"' + row[name].replace('"', '""') + '"' for name in ("old", "new"))
        lines.append(f"{quoted},{month},{next_month(month)}")
    assert len(lines) - 1 == 5259
    truth = {month: len(persons(renames[month], found)) for month, found in users.items()}

    settings = make_settings(CATALOGUE)
    client = connect(settings)
    hashed = MonthlyPseudonyms(pseudonym_keys(settings))
    first = (datetime(2004, 1, 1, tzinfo=UTC), "/s", "1")
    client.insert(
        "active_users",
        [
            [month, "irc", "CHAT", hashed.at(month).of("irc", user), first, 2, 0]
            for month, found in users.items() for user in found
        ],
        column_names=["month", "tenant", "sku", "subject", "first_event", "active_days", "recorded_in"],
        settings={"max_partitions_per_insert_block": 0},
    )  # fmt: skip
    versions = stored_versions(client)
    groups = [group for group in from_csv("\n".join(lines)) if isinstance(group, Group)]
    hand = Hand("test", datetime(2026, 11, 1, tzinfo=UTC), "renames")
    made = propose_groups(client, versions.at(1), hashed, "irc", groups, "renames.csv", hand)
    assert {pair for act in made for pair in [act.link]} <= {act.link for act in waiting(client, "irc")}
    decide(client, [act.number for act in made], "accepted", hand)
    assert waiting(client, "irc") == []
    assert set(resolve_again(settings, client, date(2018, 3, 1))) >= {m for m in renames if renames[m] and m in users}

    counted = dict(client.query("SELECT month, active_users FROM active_users_by_month").result_rows)
    assert counted == truth
    assert all(number <= len(users[month]) for month, number in counted.items())
    assert sum(counted.values()) < sum(map(len, users.values()))
    for month in sorted(truth)[-3:]:
        [count] = live_counts(client, month)
        assert count.active_users == truth[month]

    # Without months a nickname that passed on makes one of all who ever had it.
    forever = representatives(act.link for act in made)
    assert max(Counter(forever.values()).values()) == 50
    monthly = [representatives(a.link for a in made if a.valid_from == month) for month in renames]
    assert max(max(Counter(found.values()).values(), default=0) for found in monthly) == 11
