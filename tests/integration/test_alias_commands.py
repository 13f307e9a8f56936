"""`rollcall alias` as a person uses it, over the worker: events with identities, exports, decisions, the close."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.clickhouse.client import connect
from schemas.settings import Settings
from tests.integration import command
from tests.integration.command import Outcome, inside

NOW = datetime.now(UTC).date().replace(day=1)
MONTH = f"{NOW:%Y-%m}"
CATALOGUE = f"""
programmes: {{{{csp: {{{{time_zone: UTC, settle_days: 0}}}}}}}}
tenants:
  - {{{{id: a, name: A}}}}
  - {{{{id: b, name: B, alias_policy: {{{{identities: apply}}}}}}}}
  - {{{{id: c, name: C, truncate_domain: {MONTH}}}}}
skus: [{{{{id: S, name: one, programme: csp, family: f, deployment: cloud}}}}]
{{aliases}}
"""
LDIF = """version: 1

dn: CN=Eve,DC=corp
objectSid: S-1-5-21-7
userPrincipalName: Eve@a.example
sAMAccountName: eve

dn: CN=Nobody,DC=corp
cn: Nobody
"""
CSV = """sid,upn,sam,from
S-1-5-21-8,fay@a.example,CORP\\fay,
,gus@a.example,CORP\\gus,{day}
,hal@a.example,,
"""
LOGINS: dict[tuple[str, str], dict[str, str]] = {
    **{("a", name): {} for name in ("S-1-5-21-7", "EVE@a.example", "CORP\\eve", "fay@a.example", "CORP\\fay",
                                    "gus@a.example", "CORP\\gus", "ida@a.example", "CORP\\ida", "jo@a.example", "jo2")},
    ("a", "kim@a.example"): {"sam": "CORP\\kim", "sid": "S-1-5-21-9"}, ("a", "corp\\KIM"): {},
    ("b", "lea@b.example"): {"upn": "Lea@b.example", "sid": "S-1-5-21-10"}, ("b", "s-1-5-21-10"): {},
    ("b", "max@b.example"): {"sam": "B\\max"}, ("b", "mia@b.example"): {},
    ("c", "ned@c.example"): {}, ("c", "C\\Ned"): {}, ("c", "ned@other.example"): {},
    ("c", "ola"): {"upn": "ola@c.example"},
}  # fmt: skip
"""Who logs in, as spelled, and the other names that the event gives."""


def rollcall(settings: Settings, *arguments: str, code: int = 0) -> Outcome:
    done = inside(settings, *arguments)
    assert done.code == code, (arguments, done)
    return done


def people(*same: tuple[str, ...]) -> dict[str, int]:
    """The oracle: by tenant, persons; `same` are a tenant and names of one."""
    found: dict[str, list[set[str]]] = defaultdict(list)
    for tenant, name in LOGINS:
        plain = name.lower()
        if tenant == "c":
            plain = plain.rpartition("\\")[2].partition("@")[0]
        if {plain} not in found[tenant]:
            found[tenant].append({plain})
    for tenant, *names in same:
        touched = [group for group in found[tenant] if group & {name.lower() for name in names}]
        found[tenant] = [group for group in found[tenant] if group not in touched]
        found[tenant].append({name.lower() for name in names}.union(*touched))
    return {tenant: len(groups) for tenant, groups in found.items()}


def test_from_exports_and_events_to_the_seal(make_settings: Any, tmp_path: Path) -> None:
    settings = make_settings(CATALOGUE.format(aliases=""), kafka={"partitions": 1})
    client = connect(settings)
    events = [
        {
            "specversion": "1.0", "id": str(n), "source": "/s", "type": "rollcall.login.v1", "subject": name,
            "time": f"{MONTH}-01T00:0{n % 10}:00Z",
            "data": {"tenant": tenant, "sku": "S"} | ({"identities": more} if more else {}),
        }
        for n, ((tenant, name), more) in enumerate(LOGINS.items())
    ]  # fmt: skip
    file = tmp_path / "logins.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    rollcall(settings, "push", str(file))
    assert command.rollcall(settings, "worker", "--drain").code == 0

    def counted() -> dict[str, int]:
        shown = json.loads(rollcall(settings, "counts", MONTH, "--format", "json").out)
        viewed = dict(client.query("SELECT tenant, active_users FROM running_estimate").result_rows)
        assert viewed == {row["tenant"]: row["active_users"] for row in shown}
        return viewed

    def proposals(*more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(rollcall(settings, "alias", "list", "--format", "json", *more).out)
        return found

    lea = ("b", "lea@b.example", "s-1-5-21-10")
    links = client.query("SELECT tenant, count() FROM identity_links GROUP BY tenant").result_rows
    assert dict(links) == {"a": 2, "b": 2}, "c's names are the same without their domains, and lea's UPN is the subject"
    assert people()["c"] == 2
    assert counted() == people(lea), "b's policy applies what events show"

    # Proposed by a directory, by a list, by hand, by events; nothing of it counts before somebody accepts.
    ldif, table = tmp_path / "corp.ldif", tmp_path / "corp.csv"
    ldif.write_text(LDIF, "utf-8")
    table.write_text(CSV.format(day=NOW.replace(day=9)), "utf-8")
    said = rollcall(settings, "alias", "import", str(ldif), "--tenant", "a", "--format", "ldif", "--domain", "CORP").err
    assert "2 new proposals of 1 people, 0 lines without" in said
    said = rollcall(settings, "alias", "import", str(table), "--tenant", "a", code=1).err
    assert "line 4: fewer than two names" in said
    assert "3 new proposals of 2 people, 1 lines without" in said
    again = rollcall(settings, "alias", "import", str(table), "--tenant", "a", code=1)
    assert "0 new proposals" in again.err, "the same file proposes nothing again"
    rollcall(settings, "alias", "propose", "a", "ida@a.example", "corp\\IDA", "--from-month", MONTH, "--why", "seen")
    rollcall(settings, "alias", "propose", "a", "jo@a.example", "jo2", "--why", "guess")
    rollcall(settings, "alias", "propose", "--why", "events")
    assert "the catalogue has no tenant z" in rollcall(settings, "alias", "propose", "z", "x", "y", code=2).err
    listed = proposals()
    assert [row["number"] for row in listed] == [*range(1, len(listed) + 1)]
    named = {frozenset((row["one"], row["other"])): row for row in proposals("--names", "--reason", "to decide")}
    pairs = {frozenset(pair): None for pair in (
        ("s-1-5-21-7", "eve@a.example"), ("s-1-5-21-7", "corp\\eve"), ("s-1-5-21-8", "fay@a.example"),
        ("s-1-5-21-8", "corp\\fay"), ("gus@a.example", "corp\\gus"), ("ida@a.example", "corp\\ida"),
        ("jo@a.example", "jo2"), ("kim@a.example", "corp\\kim"), ("kim@a.example", "s-1-5-21-9"),
    )}  # fmt: skip
    assert named.keys() == pairs.keys(), "b's are applied, and so not proposed"
    assert counted() == people(lea)

    # Decided: whole months only; what is refused does not come again.
    jo, gus = (str(named[frozenset(pair)]["number"]) for pair in (
        ("jo@a.example", "jo2"), ("gus@a.example", "corp\\gus")
    ))  # fmt: skip
    rollcall(settings, "alias", "refuse", jo, "--why", "two people")
    finer = rollcall(settings, "alias", "accept", "--all", "--why", "checked", code=2).err
    assert f"proposal {gus} holds from" in finer
    rollcall(settings, "alias", "accept", gus, "--from-month", MONTH, "--why", "the month in which it began")
    rollcall(settings, "alias", "accept", "--all", "--tenant", "a", "--why", "checked")
    assert "is no proposal" in rollcall(settings, "alias", "accept", "999", "--why", "x", code=2).err
    rollcall(settings, "alias", "propose", "--why", "events")
    assert proposals() == []
    assert len(proposals("--all")) == len(listed) * 2
    same = [
        ("a", "s-1-5-21-7", "eve@a.example", "corp\\eve"), ("a", "fay@a.example", "corp\\fay"),
        ("a", "gus@a.example", "corp\\gus"), ("a", "ida@a.example", "corp\\ida"), ("a", "kim@a.example", "corp\\kim"),
        lea,
    ]  # fmt: skip
    assert counted() == people(*same) == {"a": 7, "b": 3, "c": 2}

    # And the catalogue's own.
    change = tmp_path / "catalogue.yaml"
    merged = "aliases: [{tenant: b, same: [max@b.example, mia@b.example], reason: r}]"
    change.write_text(CATALOGUE.format(aliases=merged))
    rollcall(settings, "catalogue", "apply", str(change))
    assert counted() == people(*same, ("b", "max@b.example", "mia@b.example"))
