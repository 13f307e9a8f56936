"""Which of ClickHouse's errors a worker rides out, and which end it."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from infra.clickhouse.client import Retryable, meaning
from infra.errors import ConfigurationError, RollcallError
from schemas.settings import ClickHouseSettings

BARE = "HTTP driver received HTTP status {}, server response: no upstream (for url http://127.0.0.1:8123)"
CODED = "Received ClickHouse exception, code: {0}, server response: Code: {0}. DB::Exception: oh no"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DatabaseError(BARE.format(500)), Retryable),  # a proxy or a load balancer, not ClickHouse
        (DatabaseError(BARE.format(502)), Retryable),
        (OperationalError(BARE.format(503)), Retryable),
        (DatabaseError(BARE.format(404)), RollcallError),
        (DatabaseError(CODED.format(243)), Retryable),  # not enough space
        (DatabaseError(CODED.format(242)), Retryable),  # read-only
        (DatabaseError(CODED.format(62)), RollcallError),  # a syntax error
        (DatabaseError("HTTP driver received HTTP status 500, server response: Code: 62. DB::Exception: oh no"),
         RollcallError),  # the code stands in the body alone
        (DatabaseError(CODED.format(60)), ConfigurationError),
        (ConnectionRefusedError(111, "Connection refused"), Retryable),
    ],
)  # fmt: skip
def test_what_may_be_tried_again(error: Exception, kind: type[RollcallError]) -> None:
    assert type(meaning(error, ClickHouseSettings())) is kind
