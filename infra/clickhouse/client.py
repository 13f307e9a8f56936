"""One way to ClickHouse, and what its errors mean: try again, mend the configuration, or give up.

Production swaps the address; nothing else differs from the local stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver import httputil, options
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from infra.errors import ConfigurationError, OutOfReach, RollcallError
from infra.secrets import clickhouse_password
from schemas.settings import ClickHouseSettings, Settings

# The driver imports pandas, numpy and pyarrow with the first insert, where they are installed, to look whether it was
# given a data frame: seconds for nothing, since it never is.
for _library in ("pd", "pd_time_test", "np", "arrow", "pl"):
    vars(options).setdefault(_library, None)

# Codes that another try of the same statement may cure: the server is busy, starting, out of room for a while.
RETRYABLE = frozenset({
    3, 74, 75, 159, 160, 164, 198, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 279, 285, 286, 289, 305,
    319, 394, 415, 425, 439, 499, 579, 599, 626, 659, 700, 735, 745, 999,
})  # fmt: skip
AUTHENTICATION = frozenset({192, 193, 194, 516})
UNKNOWN_DATABASE, UNKNOWN_TABLE, DENIED = 81, 60, 497
NO_SUCH_COLUMN, UNKNOWN_IDENTIFIER = 16, 47
UNMIGRATED = frozenset({UNKNOWN_DATABASE, UNKNOWN_TABLE, NO_SUCH_COLUMN, UNKNOWN_IDENTIFIER})

_CODE = re.compile(r"(?:error code|Code:?)\s*:?\s*(\d+)", re.IGNORECASE)
_BARE_5XX = re.compile(r"HTTP status 5\d\d")
"""With no code of ClickHouse's: what stands between answers in its place, while it is away."""


class Retryable(OutOfReach):
    """ClickHouse did not answer, or said that it cannot now; the same statement may succeed later."""


def connect(settings: Settings, *, database: str | None = None, **client_settings: Any) -> Client:
    """A client of the configured database (or of `database`), with `client_settings` as query settings.

    Sessions are off, so one client may be used by several threads. Raises OutOfReach or ConfigurationError with
    the cure; nothing is retried.
    """
    c = settings.clickhouse
    host = c.url.host
    if host is None:
        raise ConfigurationError(f"ROLLCALL_CLICKHOUSE_URL={c.url} names no host: write http(s)://HOST:PORT")
    password = clickhouse_password(settings)
    with explained(c):
        return clickhouse_connect.get_client(
            host=host, port=c.url.port, secure=c.url.scheme == "https", username=c.user, password=password,
            database=c.database if database is None else database, connect_timeout=5,
            send_receive_timeout=c.timeout_seconds, query_retries=0, autogenerate_session_id=False, compress=False,
            ca_cert=_file(c.ca_file), client_cert=_file(c.cert_file), client_cert_key=_file(c.key_file),
            settings={"async_insert": 0, **_replication(c), **client_settings},
            pool_mgr=httputil.get_pool_manager(
                ca_cert=_file(c.ca_file), client_cert=_file(c.cert_file), client_cert_key=_file(c.key_file),
                retries=False,
            ),
        )  # fmt: skip


@contextmanager
def explained(c: ClickHouseSettings) -> Iterator[None]:
    """Turns the driver's errors into Rollcall's: Retryable, ConfigurationError, or RollcallError (no cure known)."""
    try:
        yield
    except (ClickHouseError, OSError) as error:
        raise meaning(error, c) from error


def meaning(error: Exception, c: ClickHouseSettings) -> RollcallError:
    """What an error of the driver means, as the operator's sentence."""
    code, text = error_code(error), _first_line(error)
    where = f"ClickHouse at {c.url}"
    if code in AUTHENTICATION:
        return ConfigurationError(
            f"{where} refuses user {c.user!r} with this password: set ROLLCALL_CLICKHOUSE_USER and "
            f"ROLLCALL_CLICKHOUSE_PASSWORD, or remove the latter to use the local stack's"
        )
    if code in UNMIGRATED:
        return ConfigurationError(f"{where} lacks what Rollcall needs ({text}): run `rollcall migrate`")
    if code in RETRYABLE or (code is None and _BARE_5XX.search(str(error))):
        return Retryable(f"{where} cannot serve now ({text}): wait, or see the server's log")
    if code is None and (isinstance(error, OSError | OperationalError) or not isinstance(error, DatabaseError)):
        return Retryable(
            f"{where} does not answer ({text}): is it running? `rollcall up` starts the local one; "
            f"another server's address goes into ROLLCALL_CLICKHOUSE_URL"
        )
    return RollcallError(f"{where} refuses: {text}")


def utc(moment: datetime) -> datetime:
    """A moment as the driver returns it, aware: columns in UTC come without a zone from some servers."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def error_code(error: Exception) -> int | None:
    """ClickHouse's own error code, where the message holds one."""
    found = _CODE.search(str(error))
    return int(found.group(1)) if found else None


def _first_line(error: Exception) -> str:
    if found := re.search(r"\[Errno \d+\] ([^'\")]+)", str(error)):  # urllib3 wraps it in four layers
        return found.group(1).lower()
    if found := re.search(r"Failed to resolve '([^']+)'", str(error)):
        return f"the host name {found.group(1)} is not known"
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:297]}…"


def _replication(c: ClickHouseSettings) -> dict[str, Any]:
    # Sequential reads need inserts one quorum at a time; a collision is retried (286).
    sequential = {"insert_quorum": "auto", "insert_quorum_parallel": 0, "select_sequential_consistency": 1}
    return sequential if c.cluster else {}


def _file(path: Path | None) -> str | None:
    return str(path) if path else None
