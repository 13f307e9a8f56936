"""The tables of brokers' databases, as their own schemas have them, for any database that tests run on."""

from __future__ import annotations

from sqlalchemy import Connection, text


def guacamole_tables(broker: Connection) -> None:
    """Of `001-create-schema.sql`: PostgreSQL's times have an offset, MySQL's have none."""
    time = {"postgresql": "timestamptz", "mysql": "datetime(6)", "mariadb": "datetime(6)"}
    kind = time.get(broker.dialect.name, "DATETIME")
    broker.execute(text(
        f"CREATE TABLE guacamole_connection_history (history_id INTEGER PRIMARY KEY, user_id INTEGER, username "
        f"VARCHAR(128) NOT NULL, remote_host VARCHAR(256), connection_id INTEGER, connection_name VARCHAR(128) NOT "
        f"NULL, sharing_profile_id INTEGER, sharing_profile_name VARCHAR(128), start_date {kind} NOT NULL, "
        f"end_date {kind})"
    ))  # fmt: skip


def horizon_tables(broker: Connection, prefix: str = "h_") -> None:
    time = {"postgresql": "timestamp", "mysql": "datetime(6)", "mariadb": "datetime(6)"}
    kind = time.get(broker.dialect.name, "DATETIME")
    event, data = (f"{prefix}{name}" for name in ("event", "event_data"))
    columns = {
        "EventID": "INTEGER", "EventType": "VARCHAR(64)", "Severity": "VARCHAR(16)", "Time": kind,
        "UserSID": "VARCHAR(64)", "DesktopId": "VARCHAR(64)",
    }  # fmt: skip
    broker.execute(text(f"CREATE TABLE {event} ({', '.join(f'{n} {k}' for n, k in columns.items())})"))
    more = {"EventID": "INTEGER", "Name": "VARCHAR(64)", "Type": "INTEGER", "StrValue": "VARCHAR(256)"}
    broker.execute(text(f"CREATE TABLE {data} ({', '.join(f'{n} {k}' for n, k in more.items())})"))
