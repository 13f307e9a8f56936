"""The table of a rebuild: made, completed with the other months, dropped when it is not put in force.

Its name holds a mark of this machine and home, where one rebuild runs at a time: so what one that was killed has left
is told apart from one that runs elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from zlib import crc32

from clickhouse_connect.driver.client import Client

from infra.clickhouse.migrate import active_users_like
from infra.errors import CheckFailed, ConfigurationError
from infra.generation import PREFIX, generations
from schemas.settings import Settings

_CONTENTS = (
    "SELECT count(), sum(hash), groupBitXor(hash) FROM (SELECT sipHash64("
    "tenant, sku, subject, min(first_event), groupBitOr(active_days), min(recorded_in)) AS hash"
    " FROM {table} WHERE month = %(month)s GROUP BY tenant, sku, subject)"
)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Holds this home's one place for a rebuild; the kernel frees it with the process. Raises CheckFailed if taken."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home / "rebuild.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{home} cannot be written ({error.strerror}): run as its owner, or name another folder in ROLLCALL_HOME"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckFailed(f"another rebuild runs here (lock {home / 'rebuild.lock'}): wait until it ends") from None
        yield
    finally:
        os.close(lock)


def name_of(number: int, home: Path) -> str:
    """The table that is to be generation `number`."""
    return f"{PREFIX}{number}_{_mark(home)}"


def make(client: Client, settings: Settings, table: str) -> None:
    client.command(active_users_like(table, settings.clickhouse))


def drop(client: Client, settings: Settings, table: str) -> None:
    """Drops it unless it ever was in force."""
    if table not in {generation.table for generation in generations(client)}:
        cluster = f" ON CLUSTER `{settings.clickhouse.cluster}`" if settings.clickhouse.cluster else ""
        client.command(f"DROP TABLE IF EXISTS {table}{cluster} SYNC")


def drop_leftovers(client: Client, settings: Settings, tell: Callable[[str], None]) -> None:
    """Drops what a rebuild from this home has left that was killed; names what others have left, or still fill."""
    known = {generation.table for generation in generations(client)}
    for (table,) in client.query("SHOW TABLES").result_rows:
        if table.startswith(PREFIX) and table not in known:
            if table.endswith(f"_{_mark(settings.home)}"):
                drop(client, settings, table)
                tell(f"dropped {table}, which an interrupted rebuild had left")
            else:
                tell(f"{table} belongs to a rebuild that runs elsewhere, or was interrupted there")


def take_over(client: Client, settings: Settings, source: str, target: str, month: date) -> int:
    """Gives the target every other month of the source as it is now, without copying; returns how many there are."""
    if settings.clickhouse.cluster:
        client.command(f"SYSTEM SYNC REPLICA {source}")  # a part that is not here yet would be left behind
    months = _months(client, source) - {month}
    for other in sorted(months):
        client.command(
            f"ALTER TABLE {target} ATTACH PARTITION '{other:%Y-%m-%d}' FROM {source}",
            settings={"alter_sync": 2} if settings.clickhouse.cluster else None,
        )
    if missing := months - _months(client, target):
        raise CheckFailed(f"{target} lacks {len(missing)} months of {source} after taking them over: rebuild again")
    return len(months)


def same(client: Client, one: str, other: str, month: date) -> bool:
    """Whether two tables hold the same of the month, in every column."""
    first, second = (
        client.query(
            _CONTENTS.format(table=table), parameters={"month": month}, settings={"optimize_aggregation_in_order": 1}
        ).result_rows
        for table in (one, other)
    )
    return bool(first == second)


def _months(client: Client, table: str) -> set[date]:
    return {month for (month,) in client.query(f"SELECT DISTINCT month FROM {table}").result_rows}


def _mark(home: Path) -> str:
    return f"{crc32(os.fsencode(home.resolve()) + socket.gethostname().encode()):08x}"
