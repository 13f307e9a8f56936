-- Sources: what they and their messengers said of themselves, and when they were heard of. No count depends on it.

-- Heartbeats and watermarks from the log: the newest of each source and kind before each close. Without names.
CREATE TABLE IF NOT EXISTS source_reports $on_cluster
(
    source      String,
    kind        LowCardinality(String) COMMENT 'heartbeat or watermark',
    recorded_in UInt32 COMMENT 'greatest close number before the report in its partition',
    newest      SimpleAggregateFunction(max, Tuple(append_time DateTime64(3, 'UTC'), offset UInt64, at DateTime64(6, 'UTC'), spool_bytes Int64, polled DateTime64(6, 'UTC'), error String)) COMMENT 'spool_bytes -1 and polled 1970-01-01 where they were not said',
    complete_to SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'every login before it was in Kafka before the report; 1970-01-01 where that was not said'
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (source, kind, recorded_in);

-- When a source was heard of: every column is a join, so repeats, replays and rebuilds change nothing.
CREATE TABLE IF NOT EXISTS source_activity $on_cluster
(
    source    String,
    day       Date COMMENT 'UTC, of the events'' own times',
    quarters  SimpleAggregateFunction(groupBitOr, UInt128) COMMENT 'bit q is set: an event took place within the hour that begins with quarter q of the day',
    delay_min SimpleAggregateFunction(min, Int64) COMMENT 'milliseconds from an event''s time to its append time, of samples; below 0 the source''s clock is ahead',
    delay_max SimpleAggregateFunction(max, Int64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (source, day);

-- The sources that each catalogue version declares, for dashboards to join.
CREATE TABLE IF NOT EXISTS catalogue_sources $on_cluster
(
    version      UInt32,
    source       String,
    kind         LowCardinality(String),
    valid_from   Date COMMENT '1970-01-01 for always',
    valid_to     Date COMMENT 'the first day that is out; 2149-06-01 for none',
    silent_after UInt32 COMMENT 'seconds within the expected hours; 0 without a rhythm',
    answers      Bool COMMENT 'a close asks it for a watermark'
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (version, source, valid_from);
