-- What the month close writes.

-- One number a close; its deduplication token decides who takes it.
CREATE TABLE IF NOT EXISTS close_numbers $on_cluster
(
    number   UInt32,
    month    Date,
    owner    UUID COMMENT 'drawn by the close that takes the number: of two that ask at once, each sees whether it has it',
    begun_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY number
SETTINGS $deduplication_window = 10000;

-- The resolved set of a seal, immutable, by the number of the close that made it. It belongs to a revision only if
-- `seals` has a row with this number: a close that was killed half-way leaves rows that nothing refers to.
CREATE TABLE IF NOT EXISTS seal_subjects $on_cluster
(
    close_number UInt32,
    month        Date,
    agreement    LowCardinality(String),
    tenant       LowCardinality(String),
    sku          LowCardinality(String),
    subject      FixedString(16),
    first_event  Tuple(time DateTime64(6, 'UTC'), source String, id String),
    counted      Bool,
    reason       LowCardinality(String) COMMENT 'why it is not counted; empty when it is'
)
ENGINE = ${replicated}MergeTree
PARTITION BY month
ORDER BY (month, agreement, close_number, tenant, sku, subject);

-- The revisions: one row each, written last. Its deduplication token names month, agreement and revision.
CREATE TABLE IF NOT EXISTS seals $on_cluster
(
    month              Date,
    agreement          String,
    revision           UInt32,
    close_number       UInt32,
    time_zone          String,
    digest             String COMMENT 'SHA-256 of the sorted lines tenant,sku,count,digest',
    counts             Array(Tuple(tenant String, sku String, active_users UInt64, digest String)),
    cluster_id         String,
    topic_id           String,
    generation         UInt32,
    offsets            Map(UInt32, UInt64) COMMENT 'partition to offset of the close''s control record',
    append_times       Map(UInt32, DateTime64(3, 'UTC')) COMMENT 'when those records were appended, for display',
    catalogue_versions Map(UInt32, UInt32) COMMENT 'partition to the catalogue version in force there',
    key_fingerprint    String,
    sealed_at          DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY (month, agreement, revision)
SETTINGS $deduplication_window = 100000;
