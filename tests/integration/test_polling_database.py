"""Brokers' databases, read through SQLAlchemy: SQLite, and the real PostgreSQL and MariaDB where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text

from infra.errors import ConfigurationError, OutOfReach
from producers.adapters.adapter import Adapter, AdapterOptions
from producers.adapters.guacamole import GuacamoleAdapter
from producers.adapters.horizon import HorizonAdapter
from producers.polling.database import Query, engine_of, guacamole, horizon, rows
from producers.polling.reader import Refusals, Tally, read
from producers.polling.watermark import Watermark
from tests.broker_database import guacamole_tables, horizon_tables
from tests.broker_servers import NotHad, mariadb, postgresql
from tests.polled import FileSender

TOKYO = AdapterOptions(ZoneInfo("Asia/Tokyo"))


SERVERS = {"postgresql": postgresql, "mariadb": mariadb}


@pytest.fixture(scope="module", params=["sqlite", *SERVERS])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of each kind; the servers of PostgreSQL and MariaDB where the machine has them."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/broker.db"
        return
    with ExitStack() as stack:
        try:
            found = stack.enter_context(SERVERS[request.param]())
        except NotHad as reason:
            pytest.skip(str(reason))
        yield found


@pytest.fixture
def engine(url: str) -> Engine:
    engine = engine_of(url)
    with engine.begin() as broker:
        for table in ("guacamole_connection_history", "h_event", "h_event_data"):
            broker.execute(text(f"DROP TABLE IF EXISTS {table}"))
        guacamole_tables(broker)
        horizon_tables(broker)
    return engine


def zoned(engine: Engine) -> bool:
    """Whether its times of connections have an offset, as PostgreSQL's have (the server's zone here is Tokyo's)."""
    return engine.dialect.name == "postgresql"


def visit(engine: Engine, number: int, user: str, start: str, sharing: str | None = None) -> None:
    with engine.begin() as broker:
        broker.execute(
            text("INSERT INTO guacamole_connection_history VALUES (:n, NULL, :u, '', 1, 'Desk', NULL, :p, :s, NULL)"),
            {"n": number, "u": user, "p": sharing, "s": f"{start}.000000"},
        )


def poll(engine: Engine, folder: Path, query: Query, adapter: Adapter, portion: int = 1000) -> Tally:
    with Watermark(folder, "db") as watermark:
        mark = watermark.mark
        since = mark - timedelta(minutes=90) if mark else datetime(2026, 10, 1, tzinfo=UTC)
        return read(
            rows(engine, query, since, portion=portion), adapter, FileSender(folder / "sent"), watermark,
            Refusals(folder / "db.rejects"), source="/db",
        )  # fmt: skip


def sent(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "sent").read_bytes().splitlines()]


@pytest.mark.parametrize("portion", [1, 3, 1000])
def test_guacamole_in_portions_of_any_size(engine: Engine, tmp_path: Path, portion: int) -> None:
    truth = set()
    for number in range(25):
        guest = "help" if number % 5 == 0 else None
        visit(engine, number, f"u{number % 7}", f"2026-10-31 23:59:{number // 4:02}", guest)
        if number % 5:
            truth.add((str(number), f"u{number % 7}", datetime(2026, 10, 31, 14, 59, number // 4, tzinfo=UTC)))
    tally = poll(engine, tmp_path, guacamole, GuacamoleAdapter(TOKYO), portion)
    found = {(event["id"], event["subject"], datetime.fromisoformat(event["time"])) for event in sent(tmp_path)}
    assert found == truth
    assert (tally.records, tally.not_logins) == (25, {"a guest in a shared session": 5})


def test_what_was_written_late_or_by_a_clock_put_back_is_read_by_the_next_poll(engine: Engine, tmp_path: Path) -> None:
    visit(engine, 1, "a", "2026-10-25 02:59:00")
    poll(engine, tmp_path, guacamole, GuacamoleAdapter(TOKYO))
    visit(engine, 2, "b", "2026-10-25 02:00:01")
    visit(engine, 3, "c", "2026-10-26 09:00:00")
    tally = poll(engine, tmp_path, guacamole, GuacamoleAdapter(TOKYO))
    assert {event["subject"] for event in sent(tmp_path)} == {"a", "b", "c"}
    told = datetime(2026, 10, 26, 0 if zoned(engine) else 9, tzinfo=UTC)
    assert tally.mark == told, "without an offset: the database's own time, as if it were UTC"


@pytest.mark.parametrize("portion", [1, 1000])
def test_a_row_that_is_written_when_a_connection_ends_is_read(engine: Engine, tmp_path: Path, portion: int) -> None:
    """As Guacamole did before 1.5: hours behind the mark."""
    visit(engine, 1, "a", "2026-10-25 12:00:00")
    poll(engine, tmp_path, guacamole, GuacamoleAdapter(TOKYO))
    for number, user in ((2, "b"), (3, "c")):
        visit(engine, number, user, "2026-10-25 08:00:00")
    with engine.begin() as broker:
        broker.execute(text("UPDATE guacamole_connection_history SET end_date = '2026-10-25 12:01:00.000000'"))
    before = poll(engine, tmp_path, guacamole, GuacamoleAdapter(TOKYO), portion).mark
    assert {(event["id"], event["subject"]) for event in sent(tmp_path)} == {("1", "a"), ("2", "b"), ("3", "c")}
    told = datetime(2026, 10, 25, 3 if zoned(engine) else 12, tzinfo=UTC)
    assert before == told, "the mark stays where it was"


def test_horizon_with_the_name_from_its_event_data(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as broker:
        for number, kind in enumerate(("BROKER_USERLOGGEDIN", "AGENT_CONNECTED", "AGENT_DISCONNECTED"), 1):
            broker.execute(text(
                f"INSERT INTO h_event VALUES ({number}, '{kind}', 'INFO', '2026-10-31 23:59:59.500000', 'S-1-5-21-1', "
                f"'pool')"
            ))  # fmt: skip
        data = text("INSERT INTO h_event_data VALUES (2, 'UserDisplayName', 0, :name), (2, 'X', 0, 'y')")
        broker.execute(data, {"name": "CORP\\alice"})
    poll(engine, tmp_path, horizon("h_"), HorizonAdapter(TOKYO))
    [event] = sent(tmp_path)
    assert (event["id"], event["time"], event["data"]) == (
        "2", "2026-10-31T23:59:59.500000+09:00",
        {"product": "pool", "identities": {"sid": "S-1-5-21-1", "sam": "CORP\\alice"}},
    )  # fmt: skip


def test_what_it_says_when_it_cannot_read(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match="may this account read the tables"):
        poll(engine, tmp_path, horizon("other_"), HorizonAdapter(TOKYO))
    for url in ("nonsense", "postgresql+nosuch://u@h/d"):
        with pytest.raises(ConfigurationError, match=r"mysql\+pymysql://"):
            engine_of(url, "secret")
