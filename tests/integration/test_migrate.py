"""`migrate` on real servers: safe to repeat, alone or at once; what differs is refused with the cure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_connect.driver.client import Client

from infra import catalogue, keys
from infra.clickhouse import migrate as schema
from infra.clickhouse.client import connect
from infra.errors import CheckFailed, ConfigurationError
from infra.kafka.connection import admin_client, kafka_python_options
from infra.kafka.topics import describe
from infra.keyring import FIRST, Keys
from infra.migrate import migrate
from infra.waiting import wait_until
from schemas.settings import Settings
from tests.integration.conftest import MakeSettings

Starts = dict[tuple[str, int], tuple[int, int]]


def starts(client: Client, topic_id: str) -> Starts:
    """By kind and partition: number and offset; fails when a partition has two."""
    rows = client.query(
        "SELECT kind, partition, number, min(offset) FROM control_places WHERE topic_id = {t:String} GROUP BY ALL",
        parameters={"t": topic_id},
    ).result_rows
    assert len({(kind, partition) for kind, partition, _, _ in rows}) == len(rows)
    return {(kind, partition): (number, offset) for kind, partition, number, offset in rows}


def expected(partitions: int, version: int = 1, close: int = 0) -> Starts:
    return {
        (kind, p): (number, -1)
        for kind, number in (("catalogue", version), ("close", close))
        for p in range(partitions)
    }


def everything(client: Client) -> dict[str, int]:
    """Rows by table; ReplacingMergeTree's repeats count once."""
    tables = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree%' "
        "AND name != 'schema_migrations'"
    ).result_columns[0]
    final = ("catalogue_skus", "catalogue_tenants", "control_places")
    return {
        t: client.query(f"SELECT count() FROM {t} {'FINAL' if t in final else ''}").result_rows[0][0] for t in tables
    }


def test_the_first_run_stores_starts_key_and_catalogue(settings: Settings, client: Client) -> None:
    facts = describe(settings)
    assert facts.partitions == 4
    assert starts(client, facts.topic_id) == expected(4)
    [stored] = catalogue.stored_versions(client)
    assert (stored.version, stored.yaml) == (1, settings.catalogue.read_text())
    assert client.query("SELECT sku, time_zone FROM catalogue_skus").result_rows == [("DAAS-PREM-T1", "Asia/Tokyo")]
    assert client.query("SELECT count() FROM subject_keys").result_rows == [(1,)]
    schema.check_schema(client, settings.clickhouse)


def test_a_repeat_does_nothing(settings: Settings, client: Client) -> None:
    before, told = everything(client), list[str]()
    migrate(settings, told.append)
    assert everything(client) == before
    assert [line for line in told if not line.startswith("access:")] == []


def test_two_first_runs_at_once(make_settings: MakeSettings, example_catalogue: str) -> None:
    settings = make_settings(None)
    settings.catalogue.write_text(example_catalogue)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(migrate, [settings] * 3))
    with connect(settings) as client:
        facts = describe(settings)
        assert starts(client, facts.topic_id) == expected(4)
        assert len(catalogue.stored_versions(client)) == 1
        assert client.query("SELECT count() FROM subject_keys").result_rows == [(1,)]


def test_an_interrupted_migration_is_done_again(settings: Settings, client: Client) -> None:
    client.command("DROP TABLE seals")
    client.command("ALTER TABLE schema_migrations DELETE WHERE number >= 2 SETTINGS mutations_sync = 1")
    with pytest.raises(ConfigurationError, match=r"lacks migration 0002.*rollcall migrate"):
        schema.check_schema(client, settings.clickhouse)
    told: list[str] = []
    schema.migrate(settings, told.append)
    assert told[0] == "ClickHouse: applied migration 0002 seals"
    assert client.query("SELECT count() FROM seals").result_rows == [(0,)]


def test_a_changed_migration_is_refused(settings: Settings, client: Client) -> None:
    client.insert("schema_migrations", [[1, "core", "0" * 64]], column_names=["number", "name", "sha256"])
    with pytest.raises(CheckFailed, match=r"migration 0001 core .* a migration with a new number"):
        migrate(settings)


def test_a_newer_database_is_refused(settings: Settings, client: Client) -> None:
    client.insert("schema_migrations", [[9999, "later", "0" * 64]], column_names=["number", "name", "sha256"])
    with pytest.raises(ConfigurationError, match=r"newer Rollcall \(it has migration 9999"):
        migrate(settings)
    with pytest.raises(ConfigurationError, match="newer Rollcall"):
        schema.check_schema(client, settings.clickhouse)


def test_a_view_that_changed_or_was_dropped_is_applied_again(settings: Settings, client: Client) -> None:
    client.command("DROP VIEW closes")
    client.insert("schema_migrations", [[0, "ingest_lag", "0" * 64]], column_names=["number", "name", "sha256"])
    told: list[str] = []
    schema.migrate(settings, told.append)
    assert told == ["ClickHouse: view closes", "ClickHouse: view ingest_lag"]
    assert client.query("SELECT count() FROM closes").result_rows == [(0,)]


def test_another_key_is_refused(settings: Settings, client: Client) -> None:
    other = settings.model_copy(update={"key": Settings(key="ab" * 32).key})
    with pytest.raises(ConfigurationError, match="not the one that this data was written with"):
        migrate(other)
    with pytest.raises(ConfigurationError, match="ROLLCALL_KEY_FILE"):
        keys.check_keys(client, Keys({FIRST: bytes.fromhex("ab" * 32)}))


def test_new_partitions_start_with_what_holds_now(make_settings: MakeSettings, example_catalogue: str) -> None:
    settings = make_settings(kafka={"partitions": 2})
    with connect(settings) as client:
        catalogue.apply(settings, client, example_catalogue + "\n# second\n")
        client.command("INSERT INTO close_numbers (number, month) VALUES (7, '2026-01-01')")
        settings.catalogue.write_text(example_catalogue + "\n# second\n")
        kafka = settings.kafka.model_copy(update={"partitions": 3})
        grown = settings.model_copy(update={"kafka": kafka})
        migrate(grown)
        facts = describe(grown)
        assert facts.partitions == 3
        rows = client.query(
            "SELECT kind, number, offset FROM control_places FINAL WHERE partition = 2 ORDER BY kind"
        ).result_rows
        assert rows == [("catalogue", 2, -1), ("close", 7, -1)]
        migrate(grown)
        assert len(client.query("SELECT 1 FROM control_places FINAL WHERE partition = 2").result_rows) == 2


def test_a_topic_made_anew_is_explained(settings: Settings, client: Client) -> None:
    before = describe(settings)
    client.command("INSERT INTO close_numbers (number, month) VALUES (3, '2026-01-01')")
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        admin.delete_topics([settings.kafka.topic])
        assert wait_until(lambda: settings.kafka.topic not in admin.list_topics(), 20)
    told: list[str] = []
    migrate(settings, told.append)
    after = describe(settings)
    assert after.topic_id != before.topic_id
    assert starts(client, after.topic_id) == expected(4, version=1, close=3)
    [line] = [line for line in told if "made anew" in line]
    assert before.topic_id in line
    assert after.topic_id in line
    told.clear()
    migrate(settings, told.append)
    assert not [line for line in told if "made anew" in line]


def test_without_a_catalogue_file(make_settings: MakeSettings, example_catalogue: str) -> None:
    settings = make_settings(None)
    with pytest.raises(ConfigurationError, match=r"does not exist.*catalogue\.example\.yaml.*ROLLCALL_CATALOGUE") as e:
        migrate(settings)
    assert str(settings.catalogue) in str(e.value)
    settings.catalogue.write_text(example_catalogue)
    migrate(settings)


def test_a_faulty_catalogue_is_named_with_its_line(make_settings: MakeSettings, example_catalogue: str) -> None:
    settings = make_settings(None)
    settings.catalogue.write_text(example_catalogue.replace("Asia/Tokyo", "Asia/Tokio"))
    with pytest.raises(ConfigurationError, match=r"\.yaml:6: programmes\.citrix-csp\.time_zone"):
        migrate(settings)
    with connect(settings) as client:
        assert catalogue.stored_versions(client) == []


def test_a_file_that_differs_points_to_apply(settings: Settings, client: Client, example_catalogue: str) -> None:
    settings.catalogue.write_text(example_catalogue + "# changed\n")
    with pytest.raises(CheckFailed, match="rollcall catalogue apply"):
        migrate(settings)
    assert len(catalogue.stored_versions(client)) == 1
