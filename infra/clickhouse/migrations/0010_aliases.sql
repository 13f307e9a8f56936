-- Who is who: names of one person, as pairs of pseudonyms. Nothing here changes a stored login; pairs merge at the count.

-- What events said of themselves: two of the names that one event gave, and the months in which that was seen.
CREATE TABLE IF NOT EXISTS identity_links $on_cluster
(
    tenant      LowCardinality(String),
    one         FixedString(16) COMMENT 'the smaller pseudonym of the two',
    other       FixedString(16),
    kinds       SimpleAggregateFunction(groupBitOr, UInt8) COMMENT 'the kinds of name that were linked: 1 subject, 2 UPN, 4 SID, 8 DOMAIN\\user',
    first_month SimpleAggregateFunction(min, Date),
    last_month  SimpleAggregateFunction(max, Date)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, one, other);

-- Proposals and decisions, append-only: of each pair the newest decision holds. A deduplication token a number.
CREATE TABLE IF NOT EXISTS alias_ledger $on_cluster
(
    number     UInt32,
    act        LowCardinality(String) COMMENT 'proposed, accepted or refused',
    tenant     LowCardinality(String),
    one        FixedString(16) COMMENT 'the smaller pseudonym of the two',
    other      FixedString(16),
    valid_from Date COMMENT 'a decision''s are first days of months; 1970-01-01 for always',
    valid_to   Date COMMENT 'the first day that is out; 2149-06-01 for none',
    origin     String COMMENT 'where it comes from: a file, or identities of events',
    why        String,
    actor      String,
    at         DateTime64(3, 'UTC')
)
ENGINE = ${replicated}MergeTree
ORDER BY (tenant, one, other, number)
SETTINGS $deduplication_window = 10000;

-- Sets of pairs, resolved: who stands for whom. Immutable, by the digest of the pairs.
CREATE TABLE IF NOT EXISTS alias_members $on_cluster
(
    tenant         LowCardinality(String),
    version        LowCardinality(String) COMMENT 'SHA-256 of the sorted pairs',
    subject        FixedString(16),
    representative FixedString(16) COMMENT 'the smallest pseudonym of the component; it has no row of its own'
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (tenant, version, subject);

-- Which version holds in a month as it is known now: the newest row. A seal cites its own.
CREATE TABLE IF NOT EXISTS alias_versions $on_cluster
(
    month     Date,
    tenant    LowCardinality(String),
    version   String COMMENT 'empty when no alias holds',
    stored_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replicated}ReplacingMergeTree(stored_at)
ORDER BY (month, tenant);

-- Who stands for whom as it is known now: everybody who is linked, representatives too. For views, which join it only to
-- what it has.
CREATE OR REPLACE VIEW linked_subjects $on_cluster
(
    month          Date                   COMMENT 'first day of the month in which they are linked',
    tenant         LowCardinality(String) COMMENT 'whose names they are',
    subject        FixedString(16)        COMMENT 'a pseudonym that is linked to others',
    representative FixedString(16)        COMMENT 'the smallest pseudonym of the same person; its own for itself'
)
SQL SECURITY DEFINER
AS
SELECT v.month AS month, v.tenant AS tenant, m.subject AS subject, m.representative AS representative
FROM
(
    SELECT month, tenant, argMax(version, stored_at) AS newest
    FROM alias_versions
    GROUP BY month, tenant
    HAVING newest != ''
) AS v
INNER JOIN
(
    SELECT DISTINCT tenant, version, arrayJoin([subject, representative]) AS subject, representative
    FROM alias_members
) AS m ON v.tenant = m.tenant AND v.newest = m.version;

ALTER TABLE seals $on_cluster
    ADD COLUMN IF NOT EXISTS alias_versions Map(String, String) COMMENT 'tenant to the aliases that held, where there were any';
