"""ClickHouse itself parses, groups and stores the events, from a file of one event a line: the limit.

No Kafka and no Python touches an event, and nothing is checked: a line it cannot read would end the insert.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.contenders.measure import Stopwatch
from infra.clickhouse.client import connect
from schemas.settings import load_settings

_TABLES = (
    """CREATE OR REPLACE TABLE limit_users (
        month Date, tenant LowCardinality(String), sku LowCardinality(String), subject FixedString(16),
        first_event SimpleAggregateFunction(min, Tuple(time DateTime64(6, 'UTC'), source String, id String)),
        active_days SimpleAggregateFunction(groupBitOr, UInt32), events SimpleAggregateFunction(sum, UInt64)
    ) ENGINE = AggregatingMergeTree PARTITION BY month ORDER BY (month, tenant, sku, subject)""",
    """CREATE OR REPLACE TABLE limit_events (
        id String, source String, time DateTime64(6, 'UTC'), subject String, data Tuple(tenant String, sku String)
    ) ENGINE = Null""",
    "DROP VIEW IF EXISTS limit_fold",
    """CREATE MATERIALIZED VIEW limit_fold TO limit_users AS SELECT
        toStartOfMonth(time, 'Asia/Tokyo') AS month, data.tenant AS tenant, data.sku AS sku,
        sipHash128(tenant, subject) AS subject, min((time, source, id)) AS first_event,
        groupBitOr(bitShiftLeft(toUInt32(1), toDayOfMonth(time, 'Asia/Tokyo'))) AS active_days, count() AS events
    FROM limit_events GROUP BY month, tenant, sku, subject""",
)


def main(file: Path) -> None:
    watch = Stopwatch()
    with connect(load_settings()) as client:
        for statement in _TABLES:
            client.command(statement)
        watch.start()
        with file.open("rb") as lines:
            client.raw_insert(
                "limit_events", None, lines, {"date_time_input_format": "best_effort"}, fmt="JSONEachRow"
            )
        watch.lap()
        [[events, users]] = client.query(
            "SELECT sum(events), uniqExact(month, tenant, sku, subject) FROM limit_users"
        ).result_rows
    watch.report(events, users)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
