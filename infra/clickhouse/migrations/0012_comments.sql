-- Views that are no dashboard's say what they are, too.

-- What may be read of subject_names: a name that a worker stored while it was being erased is not in it.
CREATE OR REPLACE VIEW known_names $on_cluster
(
    tenant  LowCardinality(String) COMMENT 'the tenant''s id',
    subject FixedString(16) COMMENT 'the pseudonym, by the key of the months in which it logged in',
    name    String          COMMENT 'canonical, as tenant and month want it'
)
SQL SECURITY DEFINER
AS
SELECT tenant, subject, name
FROM subject_names
WHERE (tenant, subject) NOT IN (SELECT tenant, subject FROM subject_erasures)
COMMENT 'Whose pseudonym is whose, without the erased.';

CREATE OR REPLACE VIEW name_lookups $on_cluster
(
    at       DateTime64(3, 'UTC') COMMENT 'the server''s time',
    account  String           COMMENT 'ClickHouse''s, as the server knows it',
    actor    String           COMMENT 'the operating system''s account, as the command says',
    command  LowCardinality(String) COMMENT 'which one looked',
    tenant   LowCardinality(String) COMMENT 'empty: not known beforehand',
    sku      LowCardinality(String) COMMENT 'empty: of all',
    month    Nullable(Date)   COMMENT 'NULL: of all',
    subjects UInt64           COMMENT 'how many people at most it names',
    reason   String           COMMENT 'as whoever looked gave it'
)
SQL SECURITY DEFINER
AS
SELECT at, account, actor, command, tenant, sku, month, subjects, reason
FROM name_lookup_log
COMMENT 'Who looked at names, for auditors.';

CREATE OR REPLACE VIEW linked_subjects $on_cluster
(
    month          Date            COMMENT 'first day of the month',
    tenant         LowCardinality(String) COMMENT 'the tenant''s id',
    subject        FixedString(16) COMMENT 'a pseudonym that is linked to others in this month',
    representative FixedString(16) COMMENT 'the pseudonym that stands for all of the person'
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
) AS m ON v.tenant = m.tenant AND v.newest = m.version
COMMENT 'Who is one person in a month, as it was resolved last.';
