-- Whose name is kept no longer, and who looked at names.

-- A person's name that was erased: it is never shown again, and no worker stores it again. Without the name.
CREATE TABLE IF NOT EXISTS subject_erasures $on_cluster
(
    tenant    LowCardinality(String),
    subject   FixedString(16) COMMENT 'by each key that was known then: a row each',
    actor     String COMMENT 'the operating system''s account that asked for it',
    reason    String,
    erased_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY (tenant, subject);

-- What may be read of subject_names: a name that a worker stored while it was being erased is not in it.
CREATE OR REPLACE VIEW known_names $on_cluster
SQL SECURITY DEFINER
AS
SELECT tenant, subject, name
FROM subject_names
WHERE (tenant, subject) NOT IN (SELECT tenant, subject FROM subject_erasures);

-- Every look at names, stored before they are shown. Nobody is granted more than to add to it. What the server knows
-- of its own cannot be given by whoever inserts.
CREATE TABLE IF NOT EXISTS name_lookup_log $on_cluster
(
    at       DateTime64(3, 'UTC') MATERIALIZED now64(3),
    account  String MATERIALIZED currentUser() COMMENT 'ClickHouse''s',
    actor    String COMMENT 'the operating system''s account, as the command says',
    command  LowCardinality(String),
    tenant   LowCardinality(String) COMMENT 'empty: not known beforehand',
    sku      LowCardinality(String) COMMENT 'empty: of all',
    month    Nullable(Date) COMMENT 'NULL: of all',
    subjects UInt64 COMMENT 'how many people at most it names',
    reason   String
)
ENGINE = ${replicated}MergeTree
ORDER BY (at, actor);

-- The same for auditors.
CREATE OR REPLACE VIEW name_lookups $on_cluster
SQL SECURITY DEFINER
AS
SELECT at, account, actor, command, tenant, sku, month, subjects, reason
FROM name_lookup_log;
