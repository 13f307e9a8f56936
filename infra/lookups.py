"""Looks at names are kept: who, when, of whom, by which command. Stored before a name is shown, or none is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.clickhouse.client import DENIED, error_code, utc
from infra.errors import ConfigurationError


@dataclass(frozen=True)
class Asker:
    """Who wants to see names: the operating system's account, by which command, and why, as far as they say it."""

    actor: str
    command: str
    reason: str = ""


class Lookup(NamedTuple):
    """One look, as it was stored. `account` is ClickHouse's, and with `at` what the server says of its own."""

    at: datetime
    account: str
    actor: str
    command: str
    tenant: str
    sku: str
    month: date | None
    subjects: int
    reason: str


def keep(
    client: Client, asker: Asker, subjects: int, *, tenant: str = "", sku: str = "", month: date | None = None
) -> None:
    """Stores that somebody is about to see the names of so many people at most; returns once it is acknowledged.

    Raises ConfigurationError when the account may not store it, else the driver's errors: show no name then.
    """
    row: list[Any] = [asker.actor, asker.command, tenant, sku, month, subjects, asker.reason]
    columns = ("actor", "command", "tenant", "sku", "month", "subjects", "reason")
    with _granted(client, "names", "store that it looks at names, so it is shown none"):
        client.insert("name_lookup_log", [row], column_names=columns)


def lookups(client: Client, *, tenant: str | None = None, limit: int) -> list[Lookup]:
    """The newest, the newest first; of one tenant those of all tenants too.

    Raises ConfigurationError when the account may not read them, else the driver's errors.
    """
    with _granted(client, "auditors", "read who looked at names"):
        rows = client.query(
            f"SELECT {', '.join(Lookup._fields)} FROM name_lookups WHERE tenant IN %(tenants)s OR %(every)s"
            " ORDER BY at DESC LIMIT %(limit)s",
            parameters={"tenants": ["", tenant or ""], "every": int(tenant is None), "limit": limit},
        ).result_rows
    return [Lookup(utc(row[0]), *row[1:]) for row in rows]


@contextmanager
def _granted(client: Client, role: str, what: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        if error_code(error) != DENIED:
            raise
        raise ConfigurationError(
            f"ClickHouse does not let this account {what}: GRANT {client.database}_{role} TO its user"
        ) from error
