-- What the dedup job writes. $on_cluster and $replicated are empty on a single server (infra/clickhouse/migrate.py).

-- The set that is counted: one row per (month, tenant, SKU, subject). Every other column is a join (idempotent,
-- commutative, associative), so duplicates, replays and reordering cannot change what a merge arrives at.
CREATE TABLE IF NOT EXISTS active_users $on_cluster
(
    month       Date COMMENT 'first day of the month, in the time zone of the SKU''s programme',
    tenant      LowCardinality(String),
    sku         LowCardinality(String),
    subject     FixedString(16) COMMENT 'keyed hash of the canonical identity, scoped by tenant',
    first_event SimpleAggregateFunction(min, Tuple(time DateTime64(6, 'UTC'), source String, id String)),
    active_days SimpleAggregateFunction(groupBitOr, UInt32) COMMENT 'bit d is set: active on day d of the month',
    recorded_in SimpleAggregateFunction(min, UInt32) COMMENT 'greatest close number before the event in its partition'
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY month
ORDER BY (month, tenant, sku, subject)
-- A month that nobody writes to any more becomes one part, which FINAL reads without merging.
SETTINGS min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1;

-- Who a pseudonym is. Granted separately; nothing that counts reads it.
CREATE TABLE IF NOT EXISTS subject_names $on_cluster
(
    tenant  LowCardinality(String),
    subject FixedString(16),
    name    String COMMENT 'the canonical identity'
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (tenant, subject);

-- Which key made the pseudonyms from a month on; a worker with another key refuses to start.
CREATE TABLE IF NOT EXISTS subject_keys $on_cluster
(
    valid_from  Date,
    fingerprint String,
    stored_at   DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY valid_from
SETTINGS $deduplication_window = 1000;

-- Where the log changes its reading: control records by partition and offset. Offset -1 holds from the partition's
-- start: what `migrate` stored before it created the partition.
CREATE TABLE IF NOT EXISTS control_places $on_cluster
(
    topic_id    String,
    kind        LowCardinality(String) COMMENT 'catalogue or close',
    partition   UInt32,
    number      UInt32 COMMENT 'catalogue version or close number',
    offset      SimpleAggregateFunction(min, Int64),
    append_time SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (topic_id, kind, partition, number);

-- Immutable catalogue versions, as they were given. A version's place in this table is decided by its
-- deduplication token, so of two that apply at once one wins.
CREATE TABLE IF NOT EXISTS catalogue_versions $on_cluster
(
    version   UInt32,
    sha256    String COMMENT 'of the YAML text',
    yaml      String,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY version
SETTINGS $deduplication_window = 1000;

-- The SKUs of each version, for dashboards to join.
CREATE TABLE IF NOT EXISTS catalogue_skus $on_cluster
(
    version    UInt32,
    sku        LowCardinality(String),
    name       String,
    programme  LowCardinality(String),
    time_zone  LowCardinality(String),
    family     LowCardinality(String),
    deployment LowCardinality(String),
    unit       LowCardinality(String)
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (version, sku);

-- The tenants of each version, for dashboards to join.
CREATE TABLE IF NOT EXISTS catalogue_tenants $on_cluster
(
    version UInt32,
    tenant  LowCardinality(String),
    name    String
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (version, tenant);

-- Events set aside, without their bytes and without names. Identity is where the event first stood.
CREATE TABLE IF NOT EXISTS quarantine $on_cluster
(
    topic_id    String,
    partition   UInt32,
    offset      UInt64,
    place       Int32 COMMENT 'index in the record''s array, -1 for the record as a whole',
    latest      SimpleAggregateFunction(max, Tuple(replay UInt32, state UInt8, reason String, detail String)),
    source      SimpleAggregateFunction(max, String),
    event_time  SimpleAggregateFunction(max, Nullable(DateTime64(6, 'UTC'))),
    append_time SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (topic_id, partition, offset, place);

-- The cap on a source's bad share: a trip stops the workers until it is lifted. A lift lets pass what stood in the
-- log when it was given (`ends`: partition to end offset).
CREATE TABLE IF NOT EXISTS quarantine_caps $on_cluster
(
    source    String,
    number    UInt32,
    action    LowCardinality(String) COMMENT 'trip or lift',
    events    UInt64,
    refused   UInt64,
    ends      Map(UInt32, UInt64),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (source, number, action);

-- How far the dedup job has come, for dashboards; no count depends on it.
CREATE TABLE IF NOT EXISTS ingest_progress $on_cluster
(
    topic_id    String,
    partition   UInt32,
    next_offset UInt64 COMMENT 'all records before it are stored',
    end_offset  UInt64 COMMENT 'the end of the log at that time',
    append_time DateTime64(3, 'UTC') COMMENT 'when the newest stored record was appended',
    stored_at   DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}ReplacingMergeTree(stored_at)
ORDER BY (topic_id, partition);
