"""One local stack per test run; in it, a database, topics and a consumer group of its own for each test.

    def test_something(settings, client): ...                      # migrated with the example catalogue
    def test_other(make_settings): settings = make_settings(TEXT)  # … with another, or several in one test

`make_settings(text, kafka={"partitions": 1})` overrides settings; `make_settings(None)` leaves it unmigrated and
writes no catalogue file.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import connect
from infra.kafka.connection import admin_client, kafka_python_options
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import down, up
from infra.migrate import migrate
from schemas.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Real Kafka and the real ClickHouse engine on free ports, in a home of this run; nothing is migrated."""
    kafka, clickhouse = free_port(), free_port()
    settings = Settings(
        home=tmp_path_factory.mktemp("stack") / "home",
        kafka={"bootstrap": f"{LOOPBACK}:{kafka}"},
        clickhouse={"url": f"http://{LOOPBACK}:{clickhouse}"},
        local={"kafka_port": kafka, "clickhouse_port": clickhouse},
    )
    try:
        up(settings, print)
        yield settings
    finally:
        down(settings, print)


@pytest.fixture
def make_settings(stack: Settings, tmp_path: Any, example_catalogue: str) -> Iterator[MakeSettings]:
    """Makes Settings of a Rollcall of its own on the stack: `make_settings(catalogue_text, **overrides)`."""
    made: list[Settings] = []

    def make(catalogue: str | None = example_catalogue, **overrides: Any) -> Settings:
        name = f"t{uuid.uuid4().hex[:12]}"
        file = tmp_path / f"{name}.yaml"
        own: dict[str, Any] = {
            "home": stack.home, "catalogue": file, "local": stack.local.model_dump(),
            "kafka": {"bootstrap": stack.kafka.bootstrap, "topic": name, "group": name},
            "clickhouse": {"url": str(stack.clickhouse.url), "database": name},
        }  # fmt: skip
        for key, value in overrides.items():
            own[key] = own.get(key, {}) | value if isinstance(value, dict) else value
        settings = Settings(**own)
        made.append(settings)
        if catalogue is not None:
            file.write_text(catalogue, "utf-8")
            migrate(settings)
        return settings

    yield make
    for settings in made:
        _remove(settings)


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    """A Rollcall of its own, migrated with the example catalogue."""
    return make_settings()


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """ClickHouse as `settings` reaches it."""
    with connect(settings) as client:
        yield client


def _remove(settings: Settings) -> None:
    with connect(settings, database="default") as client:
        client.command(f"DROP DATABASE IF EXISTS `{settings.clickhouse.database}` SYNC")
    with admin_client(kafka_python_options(settings.kafka)) as admin:
        present = set(admin.list_topics())
        ours = [t for t in (settings.kafka.topic, settings.kafka.quarantine_topic) if t in present]
        if ours:
            admin.delete_topics(ours)
