"""Reads a broker's database (through SQLAlchemy) by the time of its rows, oldest first, a portion at a time.

Such times often have no zone. Here they are only compared, as the database has them: a mark is the row's own time, as
if it were UTC. Where clocks are put back, new rows have times before the mark; so the overlap must be longer than an
hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Engine,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    and_,
    create_engine,
    make_url,
    or_,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from infra.errors import ConfigurationError, OutOfReach
from producers.polling.portion import Portion


class Asked(NamedTuple):
    """What is selected, the time by which it is ordered, and the key that tells rows of one time apart."""

    found: Select[Any]
    time: ColumnElement[datetime]
    key: ColumnElement[int]
    ended: ColumnElement[datetime] | None = None
    """Where a row may be written when something ends, under the time of its beginning: when it ended."""


Query = Callable[[], Asked]


def guacamole() -> Asked:
    """Before 1.5 Guacamole wrote a connection's row when it had ended."""
    history = Table(
        "guacamole_connection_history", MetaData(), Column("history_id", Integer), Column("username", String),
        Column("connection_name", String), Column("sharing_profile_id", Integer),
        Column("sharing_profile_name", String), Column("start_date", DateTime), Column("end_date", DateTime),
    )  # fmt: skip
    return Asked(select(history), history.c.start_date, history.c.history_id, history.c.end_date)


def horizon(prefix: str) -> Query:
    """`prefix`: that of Horizon's tables, as `h_`. The user's display name is joined from `event_data`.

    Names are written in lower case, which every database takes for the one that Horizon made.
    """

    def query() -> Asked:
        tables = MetaData()
        event = Table(
            f"{prefix}event", tables, Column("eventid", Integer), Column("eventtype", String), Column("time", DateTime),
            Column("usersid", String), Column("desktopid", String),
        )  # fmt: skip
        data = Table(
            f"{prefix}event_data", tables, Column("eventid", Integer), Column("name", String),
            Column("strvalue", String),
        )  # fmt: skip
        named = and_(data.c.eventid == event.c.eventid, data.c.name == "UserDisplayName")
        found = select(event, data.c.strvalue.label("userdisplayname")).select_from(event.outerjoin(data, named))
        return Asked(found, event.c.time, event.c.eventid)

    return query


def engine_of(url: str, password: str = "") -> Engine:
    """`password` is put into the URL, if given, and into no sentence.

    Raises ConfigurationError for a URL, or a driver, that cannot be used.
    """
    try:
        parsed = make_url(url)
        return create_engine(parsed.set(password=password) if password else parsed, pool_size=1, max_overflow=0)
    except ArgumentError:
        what = "is no URL of a database"
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        what = f"needs a driver that is not here ({error})"
    raise ConfigurationError(
        f"the database {what}: write mysql+pymysql://USER@HOST/DATABASE or postgresql+pg8000://…, and install the "
        f"driver"
    )


def rows(
    engine: Engine, query: Query, since: datetime, until: datetime | None = None, *, portion: int = 1000
) -> Iterator[Portion]:
    """All rows at or after `since`, up to now or before `until`, each portion in a short transaction of its own.

    Without `until` first those of what began before `since` and has ended since.

    Raises OutOfReach when the database does not answer, or not this query.
    """
    found, time, key, ended = query()
    if until is not None:
        found = found.where(time < _naive(until))
    elif ended is not None:
        yield from _ended_since(engine, found.where(time < _naive(since), ended >= _naive(since)), key, since, portion)
    after: tuple[datetime, int] | None = None
    while True:
        place = time >= _naive(since) if after is None else or_(time > after[0], and_(time == after[0], key > after[1]))
        page = _page(engine, found.where(place).order_by(time, key).limit(portion))
        if not page:
            return
        last = page[-1]
        after = last[time.key or ""], last[key.key or ""]
        yield Portion(page, _mark(after[0]))
        if len(page) < portion:
            return


def _ended_since(
    engine: Engine, found: Select[Any], key: ColumnElement[int], since: datetime, portion: int
) -> Iterator[Portion]:
    """In the order of the key; they move no mark."""
    after: int | None = None
    while page := _page(engine, (found if after is None else found.where(key > after)).order_by(key).limit(portion)):
        after = page[-1][key.key or ""]
        yield Portion(page, since)


def _page(engine: Engine, asked: Select[Any]) -> list[dict[str, Any]]:
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":  # or a mark would be compared in the session's zone
                connection.execute(text("SET TIME ZONE 'UTC'"))
            return [dict(row) for row in connection.execute(asked).mappings().all()]
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or type(error).__name__)[:200]
        raise OutOfReach(
            f"the database gives no answer ({said}): is it there, and may this account read the tables?"
        ) from None


def _mark(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None)
