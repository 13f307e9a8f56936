-- ingest_lag: how far the dedup job has come in each partition of `logins`, as it saw the log when it last stored.
-- A job that stands still shows in seconds_since_stored while records_behind stays above 0.
CREATE OR REPLACE VIEW ingest_lag $on_cluster
(
    partition            UInt32               COMMENT 'of the topic',
    next_offset          UInt64               COMMENT 'all records before it are stored',
    end_offset           UInt64               COMMENT 'the end of the log at that time',
    records_behind       UInt64               COMMENT 'records that were not stored yet at that time',
    newest_append_time   DateTime64(3, 'UTC') COMMENT 'when Kafka appended the newest stored record',
    stored_at            DateTime64(3, 'UTC') COMMENT 'when the job last stored something',
    seconds_since_stored Float64              COMMENT 'from then until now',
    topic_id             String               COMMENT 'Kafka''s id of the topic: the one last written to'
)
SQL SECURITY DEFINER
AS
SELECT
    partition, next_offset, end_offset,
    if(end_offset > next_offset, end_offset - next_offset, 0) AS records_behind,
    append_time AS newest_append_time, stored_at,
    greatest(0, dateDiff('millisecond', stored_at, now64(3)) / 1000) AS seconds_since_stored,
    topic_id
FROM ingest_progress FINAL
WHERE topic_id = (SELECT argMax(topic_id, stored_at) FROM ingest_progress)
COMMENT 'How far the dedup job has come, by partition.'
