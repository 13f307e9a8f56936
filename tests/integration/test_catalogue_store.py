"""The catalogue's stored versions and their control records, on real servers; crashes at every point between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from kafka import KafkaConsumer, TopicPartition

from infra import catalogue
from infra.clickhouse.client import connect
from infra.errors import CheckFailed, ConfigurationError
from infra.kafka import control
from infra.kafka.connection import kafka_python_options
from infra.kafka.topics import describe
from infra.migrate import migrate
from schemas.control import CONTROL_TYPE, ControlRecord, read_control
from schemas.settings import Settings
from tests.integration.conftest import MakeSettings

CSP = Path(__file__).parents[2] / "examples" / "catalogue.csp.yaml"


def log(settings: Settings) -> dict[int, list[tuple[int, ControlRecord]]]:
    """Every record of `logins` by partition, with its offset; all must be control records."""
    consumer = KafkaConsumer(**kafka_python_options(settings.kafka), group_id=None, enable_auto_commit=False)
    try:
        partitions = [TopicPartition(settings.kafka.topic, p) for p in range(describe(settings).partitions)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        found: dict[int, list[tuple[int, ControlRecord]]] = {p.partition: [] for p in partitions}
        while any(consumer.position(p) < ends[p] for p in partitions):
            for records in consumer.poll(timeout_ms=500).values():
                for r in records:
                    assert dict(r.headers)["content-type"] == CONTROL_TYPE
                    assert r.timestamp_type == 1
                    found[r.partition].append((r.offset, read_control(r.value)))
        return found
    finally:
        consumer.close()


def version(number: int) -> ControlRecord:
    return ControlRecord(kind="catalogue", number=number)


def places(client: Client, number: int) -> dict[int, int]:
    rows = client.query(
        "SELECT partition, min(offset) FROM control_places WHERE kind = 'catalogue' AND number = {n:UInt32} "
        "GROUP BY partition", parameters={"n": number},
    ).result_rows  # fmt: skip
    return dict(rows)


def test_a_new_version_stands_in_every_partition(settings: Settings, client: Client, example_catalogue: str) -> None:
    text = example_catalogue.replace("DaaS Premium, tier 1", "DaaS, renamed")
    result = catalogue.apply(settings, client, text)
    assert (result.version, result.stored) == (2, True)
    assert {p: offset for p, (offset, _) in result.written.items()} == {0: 0, 1: 0, 2: 0, 3: 0} == places(client, 2)
    assert all(ms > 1_700_000_000_000 for _, ms in result.written.values())
    assert log(settings) == {p: [(0, version(2))] for p in range(4)}
    assert catalogue.load_version(client, 2).skus[0].name == "DaaS, renamed"
    assert catalogue.load_version(client, 1).skus[0].name == "DaaS Premium, tier 1"
    assert [v.version for v in catalogue.stored_versions(client)] == [1, 2]


def test_the_same_text_again_writes_nothing(settings: Settings, client: Client, example_catalogue: str) -> None:
    assert catalogue.apply(settings, client, example_catalogue) == (1, False, {}, ())
    text = example_catalogue + "# 2\n"
    catalogue.apply(settings, client, text)
    assert catalogue.apply(settings, client, text) == (2, False, {}, ())
    assert {len(records) for records in log(settings).values()} == {1}
    assert catalogue.apply(settings, client, example_catalogue).version == 3  # back to the old text: a new version


def test_a_crash_after_storing_is_completed(settings: Settings, client: Client, example_catalogue: str) -> None:
    text = example_catalogue + "# 2\n"
    row = [2, catalogue.digest(text), text]
    client.insert("catalogue_versions", [row], column_names=["version", "sha256", "yaml"])
    control.write_control(settings, version(2), [1])  # written, and killed before its place was stored
    catalogue.store_places(client, describe(settings).topic_id, "catalogue", 2, {3: (5, 0)})  # read by the worker
    result = catalogue.apply(settings, client, text)
    assert (result.version, result.stored, sorted(result.written)) == (2, False, [0, 1, 2])
    assert sorted(places(client, 2)) == [0, 1, 2, 3]
    assert client.query("SELECT count() FROM catalogue_skus FINAL WHERE version = 2").result_rows == [(1,)]
    assert {p: len(r) for p, r in log(settings).items()} == {0: 1, 1: 2, 2: 1, 3: 0}


def test_migrate_completes_it_too(settings: Settings, client: Client, example_catalogue: str) -> None:
    text = example_catalogue + "# 2\n"
    catalogue.store(client, 2, text)
    settings.catalogue.write_text(text)
    told: list[str] = []
    migrate(settings, told.append)
    assert "catalogue: version 2 announced in partitions 0, 1, 2, 3" in told
    assert log(settings) == {p: [(0, version(2))] for p in range(4)}


def test_of_two_at_once_one_wins_and_the_other_is_told(settings: Settings, example_catalogue: str) -> None:
    texts = [f"{example_catalogue}# {i}\n" for i in range(4)]

    def run(text: str) -> str:
        with connect(settings) as client:
            try:
                catalogue.apply(settings, client, text)
            except CheckFailed as error:
                return str(error)
            return "won"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(run, texts))
    with connect(settings) as client:
        stored = [v for v in catalogue.stored_versions(client) if v.version > 1]
    assert outcomes.count("won") == len(stored) >= 1
    assert all("somebody else stored catalogue version" in lost for lost in outcomes if lost != "won")
    assert len({v.version for v in stored}) == len(stored)
    assert {v.yaml for v in stored} == {text for text, outcome in zip(texts, outcomes, strict=True) if outcome == "won"}


def test_a_faulty_text_stores_nothing(settings: Settings, client: Client, example_catalogue: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.yaml:\d+: skus\[0\]\.deployment"):
        catalogue.apply(settings, client, example_catalogue.replace(": cloud", ": clod"), "mine.yaml")
    assert len(catalogue.stored_versions(client)) == 1


def test_a_rule_that_contradicts_leaves_the_last_good_version_in_force(make_settings: MakeSettings) -> None:
    text = CSP.read_text("utf-8")
    settings = make_settings(text)
    own = "for government, programme: csp-jp, family: VDI, deployment: on-prem"
    bad = text.replace(own, own.replace("on-prem", "cloud"))
    line = next(i for i, found in enumerate(bad.splitlines(), 1) if "tier: gov" in found)
    with connect(settings) as client:
        with pytest.raises(ConfigurationError, match=rf"bad\.yaml:{line}: skus\[2\]\.tier: 'gov' exists on prem"):
            catalogue.apply(settings, client, bad, "bad.yaml")
        assert [v.yaml for v in catalogue.stored_versions(client)] == [text]
    assert all(records == [] for records in log(settings).values())


def test_a_sealed_month_keeps_its_rules_unless_the_reason_is_given(make_settings: MakeSettings) -> None:
    text = CSP.read_text("utf-8")
    settings = make_settings(text)
    trial = "  - {tenant: customer-b, sku: JP-DAAS-PREM-T1, start: 2025-05-12}\n"
    longer, later = (text.replace(trial, trial + trial.replace("05-12", day)) for day in ("06-20", "07-01"))
    with connect(settings) as client:
        client.insert("seals", [[date(2025, 6, 1), "jp-2025", 1]], column_names=["month", "agreement", "revision"])
        assert catalogue.apply(settings, client, later).amended == ()
        with pytest.raises(CheckFailed, match="jp-2025 2025-06 is sealed, and the trial of JP-DAAS-PREM-T1") as refused:
            catalogue.apply(settings, client, longer)
        assert "valid_from: 2025-07" in str(refused.value)
        assert "--amend REASON" in str(refused.value)
        assert [v.version for v in catalogue.stored_versions(client)] == [1, 2]
        result = catalogue.apply(settings, client, longer, amend=" told on 2 July ")
        assert (result.version, result.stored, len(result.amended)) == (3, True, 1)
        assert [v.reason for v in catalogue.stored_versions(client)] == ["", "", "told on 2 July"]
        assert catalogue.apply(settings, client, longer) == (3, False, {}, ())  # again: nothing to amend


def test_before_the_first_migrate(make_settings: MakeSettings, example_catalogue: str) -> None:
    settings = make_settings(None)
    with connect(settings, database="default") as client, pytest.raises(ConfigurationError, match="rollcall migrate"):
        catalogue.apply(settings, client, example_catalogue)
    with pytest.raises(CheckFailed, match="rollcall migrate"):
        control.write_control(settings, version(1))


def test_an_unknown_version(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="version 9 is not stored"):
        catalogue.load_version(client, 9)
