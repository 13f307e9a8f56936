-- Changing the past: a rebuild reads the log again into a table of its own, a generation. The greatest number here
-- is in force; without any row, generation 1 is: the table active_users. Deduplication token: generation-N.
CREATE TABLE IF NOT EXISTS generations $on_cluster
(
    number            UInt32,
    table_name        String COMMENT 'what is counted, with all months',
    month             Date COMMENT 'the month that was read again',
    catalogue_version UInt32 COMMENT 'by which that month was read; 0: as the log says',
    catalogue_until   Map(UInt32, UInt64) COMMENT 'partition to offset: what stands from there on was read as the log says',
    voids             String COMMENT 'JSON: void rules of that month, also those of earlier rebuilds, with their reasons',
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

-- Records that retention took before the dedup job had read them: a finding of the months that they may belong to.
CREATE TABLE IF NOT EXISTS lost_offsets $on_cluster
(
    topic_id  String,
    partition UInt32,
    expected  UInt64 COMMENT 'the offset that the job was to read next',
    found     UInt64 COMMENT 'the first that the log still had',
    after     DateTime64(3, 'UTC') COMMENT 'append time of the last record stored before; 1970 when none is known',
    before    DateTime64(3, 'UTC') COMMENT 'append time of the first record found: what is lost was appended until then',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (topic_id, partition, expected);
