"""After an upgrade without `rollcall migrate`, ClickHouse's error says so."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from infra.clickhouse.client import meaning
from infra.errors import ConfigurationError
from schemas.settings import ClickHouseSettings


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (16, "No such column reason in table rollcall.seals. (NO_SUCH_COLUMN_IN_TABLE)"),
        (47, "Unknown expression identifier `reason` in scope SELECT reason FROM seals. (UNKNOWN_IDENTIFIER)"),
        (60, "Unknown table expression identifier 'reports'. (UNKNOWN_TABLE)"),
        (81, "Database rollcall does not exist. (UNKNOWN_DATABASE)"),
    ],
)
def test_what_an_older_schema_lacks_is_migrated(code: int, text: str) -> None:
    meant = meaning(DatabaseError(f"Code: {code}. DB::Exception: {text}"), ClickHouseSettings())
    assert isinstance(meant, ConfigurationError)
    assert text in str(meant)
    assert str(meant).endswith("run `rollcall migrate`")
