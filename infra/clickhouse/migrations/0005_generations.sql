-- Changing the past: a rebuild reads the log again into a table of its own, a generation. The greatest number here
-- is in force; without any row, generation 1 is: the table active_users. Deduplication token: generation-N.
CREATE TABLE IF NOT EXISTS generations $on_cluster
(
    number            UInt32,
    month             Date COMMENT 'the month that was read again',
    catalogue_version UInt32 COMMENT 'by which that month was read',
    voids             String COMMENT 'JSON: void rules, with their reasons',
    reason            String,
    actor             String,
    owner             UUID,
    topic_id          String,
    offsets           Map(UInt32, UInt64) COMMENT 'from here on the generation''s own consumer group reads',
    in_force_at       DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY number
SETTINGS $deduplication_window = 10000;
