"""The ClickHouse schema: numbered migrations, applied once each, and views, applied whenever their text changed.

`migrations/NNNN_name.sql` and `views/name.sql` are templates of several statements each. `schema_migrations` keeps
what was applied, with its SHA-256; a view has number 0 there, and the SHA-256 is of its text as it was filled in: a new
generation of `active_users` changes it (infra/generation.py). Every statement may be repeated (IF NOT EXISTS, OR
REPLACE), so a migration that was interrupted is done again from its start, and two migrates at once are harmless.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import UNKNOWN_DATABASE, UNKNOWN_TABLE, connect, error_code, explained
from infra.errors import CheckFailed, ConfigurationError
from infra.generation import FIRST_TABLE, in_force
from schemas.settings import ClickHouseSettings, Settings

VIEW = 0
"""The number under which `schema_migrations` knows a view."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations $on_cluster
(
    number     UInt32 COMMENT 'of the migration; 0 is a view',
    name       String,
    sha256     String COMMENT 'of the file',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}ReplacingMergeTree(applied_at)
ORDER BY (number, name, sha256)
"""
_FILE = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")
_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:\\.|''|[^'\\])*'|;|[^'/;-]+|.", re.DOTALL)


class Script(NamedTuple):
    """A file of SQL: a migration (number from 1 on) or a view (number 0)."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class Ledger(NamedTuple):
    """What a database says was applied: the checksums of each migration, and the newest of each view."""

    migrations: dict[int, set[tuple[str, str]]]
    views: dict[str, str]


def migrate(settings: Settings, tell: Callable[[str], None] = lambda _: None) -> None:
    """Brings the configured database to this Rollcall's schema; `tell` gets a line for each thing that was done.

    Raises ConfigurationError for a database of a newer Rollcall, CheckFailed for an applied migration whose file has
    changed since, OutOfReach when ClickHouse does not answer.
    """
    c = settings.clickhouse
    names = placeholders(c)
    with explained(c):
        with connect(settings, database="default") as server:
            _run(server, f"CREATE DATABASE IF NOT EXISTS `{c.database}` $on_cluster", names)
        with connect(settings) as client:
            _run(client, _LEDGER, names)
            ledger, scripts = read_ledger(client), migrations()
            refuse_strange(ledger, scripts, f"database {c.database!r} on {c.url}")
            for script in scripts:
                if script.number not in ledger.migrations:
                    _apply(client, script, names)
                    tell(f"ClickHouse: applied migration {script.number:04} {script.name}")
            apply_views(client, c, tell)


def apply_views(client: Client, c: ClickHouseSettings, tell: Callable[[str], None] = lambda _: None) -> None:
    """Makes the views that are missing or whose text has changed, over the table in force. Raises the driver's errors.

    Ends only when no rebuild was accepted meanwhile, so none is left over the table of before.
    """
    table = None
    while table != (newest := in_force(client).table):
        table, names = newest, placeholders(c, newest)
        applied = read_ledger(client).views
        present = {row[0] for row in client.query("SHOW TABLES").result_rows}
        for view in views():
            filled = view._replace(text=Template(view.text).substitute(names))
            if view.name not in present or applied.get(view.name) != filled.sha256:
                _apply(client, filled, names)
                tell(f"ClickHouse: view {view.name}")


def check_schema(client: Client, c: ClickHouseSettings) -> None:
    """Refuses a database whose schema is not this Rollcall's: a worker or a close must not guess.

    Raises ConfigurationError or CheckFailed with the cure, OutOfReach when ClickHouse does not answer.
    """
    where = f"database {c.database!r} on {c.url}"
    with explained(c):
        try:
            ledger = read_ledger(client)
        except Exception as error:
            if error_code(error) not in (UNKNOWN_DATABASE, UNKNOWN_TABLE):
                raise
            ledger = Ledger({}, {})
    scripts = migrations()
    refuse_strange(ledger, scripts, where)
    if missing := [f"{s.number:04}" for s in scripts if s.number not in ledger.migrations]:
        raise ConfigurationError(f"{where} lacks migration {', '.join(missing)}: run `rollcall migrate`")


def read_ledger(client: Client) -> Ledger:
    rows = client.query(
        "SELECT number, name, sha256 FROM schema_migrations GROUP BY number, name, sha256 ORDER BY max(applied_at)"
    ).result_rows
    applied: dict[int, set[tuple[str, str]]] = {}
    for number, name, sha256 in rows:
        if number != VIEW:
            applied.setdefault(number, set()).add((name, sha256))
    return Ledger(applied, {name: sha256 for number, name, sha256 in rows if number == VIEW})


def refuse_strange(ledger: Ledger, scripts: list[Script], where: str) -> None:
    """Raises when the database has migrations that this Rollcall has not, or has them otherwise."""
    known = {s.number: s for s in scripts}
    if newer := sorted(number for number in ledger.migrations if number not in known):
        raise ConfigurationError(
            f"{where} was migrated by a newer Rollcall (it has migration {newer[-1]:04}, this one knows "
            f"{max(known):04}): use that Rollcall, or a database of its own (ROLLCALL_CLICKHOUSE_DATABASE)"
        )
    for number, found in sorted(ledger.migrations.items()):
        script = known[number]
        if any(sha256 != script.sha256 for _, sha256 in found):
            raise CheckFailed(
                f"migration {number:04} {script.name} was applied to {where} with another text than this Rollcall's "
                f"(SHA-256 {', '.join(sorted(s[:12] for _, s in found))}, now {script.sha256[:12]}): restore the "
                f"file as it was applied and put the change into a migration with a new number; a database that "
                f"may be lost can be dropped and migrated anew"
            )


def placeholders(c: ClickHouseSettings, active_users: str = FIRST_TABLE) -> dict[str, str]:
    """What the templates may name: `$on_cluster`, `${replicated}`, `$deduplication_window`, `$database`, and in views
    and grants `$active_users`: the table in force.
    """
    single = {"on_cluster": "", "replicated": "", "deduplication_window": "non_replicated_deduplication_window"}
    cluster = {
        "on_cluster": f"ON CLUSTER `{c.cluster}`", "replicated": "Replicated",
        "deduplication_window": "replicated_deduplication_window",
    }  # fmt: skip
    return {"database": c.database, "active_users": active_users, **(cluster if c.cluster else single)}


def active_users_like(table: str, c: ClickHouseSettings) -> str:
    """The statement that makes a table like `active_users`, under another name: the definition is the same text."""
    core = next(script for script in migrations() if script.name == "core")
    start = f"CREATE TABLE IF NOT EXISTS {FIRST_TABLE} "
    [definition] = [s for s in statements(Template(core.text).substitute(placeholders(c))) if s.startswith(start)]
    return definition.replace(start, f"CREATE TABLE {table} ", 1)


def migrations() -> list[Script]:
    """The migrations by number. ValueError when a file is misnamed or a number is missing: a fault of ours."""
    scripts = []
    for file in _files("migrations"):
        match = _FILE.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file.name} is not named NNNN_name.sql")
        scripts.append(Script(int(match[1]), match[2], file.read_text("utf-8")))
    if [s.number for s in scripts] != list(range(1, len(scripts) + 1)):
        raise ValueError(f"the migrations' numbers have a gap or a double: {[s.number for s in scripts]}")
    return scripts


def views() -> list[Script]:
    return [Script(VIEW, file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in _files("views")]


def _files(folder: str) -> list[Traversable]:
    found = (file for file in (files("infra.clickhouse") / folder).iterdir() if file.name.endswith(".sql"))
    return sorted(found, key=lambda file: file.name)


def statements(text: str) -> Iterator[str]:
    """The statements of a script, without comments; a semicolon in a quoted text ends nothing."""
    parts: list[str] = []
    for token in [*_TOKEN.findall(text), ";"]:
        if token == ";":
            if statement := "".join(parts).strip():
                yield statement
            parts.clear()
        elif not token.startswith(("--", "/*")):
            parts.append(token)


def _apply(client: Client, script: Script, names: dict[str, str]) -> None:
    _run(client, script.text, names)
    client.insert(
        "schema_migrations", [[script.number, script.name, script.sha256]], column_names=["number", "name", "sha256"]
    )


def _run(client: Client, text: str, names: dict[str, Any]) -> None:
    for statement in statements(Template(text).substitute(names)):
        client.command(statement)
