-- The life of each report. Nothing here is ever changed or removed.

-- Every draft, as the JSON that was shown, approved and sent. A draft counts only if the ledger names its SHA-256.
CREATE TABLE IF NOT EXISTS reports $on_cluster
(
    agreement String,
    month     Date,
    revision  UInt32,
    draft     UInt32,
    sha256    String COMMENT 'of the JSON',
    json      String CODEC(ZSTD(3)),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY (agreement, month, revision, draft, sha256)
SETTINGS $deduplication_window = 100000;

-- The ledger of each agreement and month. A place belongs to whoever inserted it first: its deduplication token
-- names agreement, month and place, and `owner` tells the writer whether it was it.
CREATE TABLE IF NOT EXISTS report_ledger $on_cluster
(
    agreement String,
    month     Date,
    place     UInt32 COMMENT 'from 1 on, without gaps',
    at        DateTime64(6, 'UTC') COMMENT 'the actor''s clock, for display',
    actor     String,
    action    LowCardinality(String),
    act       String COMMENT 'JSON; schemas/json/ledger-entry.schema.json',
    owner     UUID,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY (agreement, month, place)
SETTINGS $deduplication_window = 100000;
