"""The migrations as text: how they are split, filled in, compared with what a database says was applied."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from string import Template

import pytest

from infra.clickhouse import access
from infra.clickhouse.migrate import Ledger, Script, migrations, placeholders, refuse_strange, statements, views
from infra.errors import CheckFailed, ConfigurationError
from schemas.settings import ClickHouseSettings

SINGLE = ClickHouseSettings()
CLUSTER = ClickHouseSettings(cluster="metering")
ONE, TWO = Script(1, "core", "SELECT 1"), Script(2, "seals", "SELECT 2")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" ; ;; ", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("-- a; comment's\nSELECT 1 -- more;\n;", ["SELECT 1"]),
        ("/* a; 'b */ SELECT 1", ["SELECT 1"]),
        ("SELECT 'a;b'; SELECT 'it''s; so', 'back\\';slash'", ["SELECT 'a;b'", "SELECT 'it''s; so', 'back\\';slash'"]),
        ("SELECT '--no comment', '/* nor this'", ["SELECT '--no comment', '/* nor this'"]),
        ("SELECT 3 - 2, 4 / 2", ["SELECT 3 - 2, 4 / 2"]),
    ],
)
def test_statements(text: str, found: list[str]) -> None:
    assert list(statements(text)) == found


@pytest.mark.parametrize("c", [SINGLE, CLUSTER], ids=["single", "cluster"])
def test_every_script_fills_in_and_may_be_repeated(c: ClickHouseSettings) -> None:
    repeatable = re.compile(
        r"CREATE (TABLE IF NOT EXISTS|OR REPLACE VIEW)|ALTER TABLE .*(IF (NOT )?EXISTS|MODIFY (COLUMN|SETTING))",
        re.DOTALL,
    )
    for script in [*migrations(), *views()]:
        found = list(statements(Template(script.text).substitute(placeholders(c))))
        assert found
        for statement in found:
            assert "$" not in statement
            assert repeatable.match(statement), statement[:80]
            assert ("ON CLUSTER `metering`" in statement) == (c is CLUSTER)
            if "ENGINE =" in statement:
                assert ("ENGINE = Replicated" in statement) == (c is CLUSTER)
            if "deduplication_window" in statement:
                assert ("non_replicated_deduplication_window" in statement) == (c is SINGLE)


def test_a_view_a_file() -> None:
    for view in views():
        [statement] = statements(Template(view.text).substitute(placeholders(SINGLE)))
        assert statement.startswith(f"CREATE OR REPLACE VIEW {view.name} ")
        assert "SQL SECURITY DEFINER" in statement


def test_the_checksum_is_of_the_file() -> None:
    assert ONE.sha256 == hashlib.sha256(b"SELECT 1").hexdigest()


def test_what_was_applied_as_it_is_now_is_fine() -> None:
    refuse_strange(Ledger({}, {}), [ONE, TWO], "here")
    refuse_strange(Ledger({1: {("core", ONE.sha256)}}, {}), [ONE, TWO], "here")


def test_a_migration_of_a_newer_rollcall_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"here was migrated by a newer Rollcall .*0002.*0001"):
        refuse_strange(Ledger({1: {("core", ONE.sha256)}, 2: {("seals", TWO.sha256)}}, {}), [ONE], "here")


@pytest.mark.parametrize("also", [set(), {("core", ONE.sha256)}])
def test_a_changed_checksum_is_refused(also: set[tuple[str, str]]) -> None:
    with pytest.raises(CheckFailed, match=f"0001 core.*{'0' * 12}.*{ONE.sha256[:12]}.*a new number"):
        refuse_strange(Ledger({1: {("core", "0" * 64), *also}}, {}), [ONE, TWO], "here")


def test_dashboards_are_granted_every_view_and_nothing_else() -> None:
    mine = [s for s in access.grants(SINGLE) if "rollcall_dashboards" in s and s.startswith("GRANT")]
    assert mine == [f"GRANT SELECT ON `rollcall`.`{view.name}` TO rollcall_dashboards" for view in views()]


def test_names_are_granted_to_their_role_alone() -> None:
    statements = [s for s in access.grants(SINGLE) if s.startswith("GRANT")]
    assert not [s for s in statements if "subject_names" in s and "SELECT" in s]
    readers = [s for s in statements if "known_names" in s]
    assert [s.rsplit(" ", 1)[1] for s in readers] == ["rollcall_names"]


def test_looks_at_names_can_be_added_to_by_those_who_look_and_read_by_auditors_alone() -> None:
    statements = [" ".join(s.split()) for s in access.grants(SINGLE) if "name_lookup" in s]
    assert statements == [
        "GRANT INSERT ON `rollcall`.name_lookup_log TO rollcall_names",
        "GRANT SELECT ON `rollcall`.name_lookups TO rollcall_auditors",
    ]


def test_the_close_is_granted_every_table_that_its_statements_name() -> None:
    folder = Path(access.__file__).parents[2] / "stream_jobs/month_close"
    sources = [file.read_text() for file in folder.rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"\b(?:FROM|JOIN|INTO) ([a-z_]+)\b", text)}
    tables = {name for m in migrations() for name in re.findall(r"CREATE TABLE IF NOT EXISTS ([a-z_]+)", m.text)}
    needed = (named & (tables | {view.name for view in views()})) - {"subject_names"}
    assert {"report_ledger", "reports", "report_states", "seals", "other_counts"} <= needed
    of_close = [s for s in access.grants(SINGLE) if re.match(r"GRANT +SELECT", s) and s.endswith("_close")]
    granted = {re.findall(r"([a-z_$]+)`? TO ", s)[0] for s in of_close}
    assert needed - granted == set()


def test_grants_reach_the_whole_cluster() -> None:
    assert all("ON CLUSTER `metering`" in statement for statement in access.grants(CLUSTER))
