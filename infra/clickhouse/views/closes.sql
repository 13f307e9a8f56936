-- closes: the sealed revisions of each month and agreement, with the digest that `rollcall verify` checks.
-- What is reported is the newest revision: WHERE newest.
CREATE OR REPLACE VIEW closes $on_cluster
(
    month        Date                 COMMENT 'first day of the month',
    agreement    String               COMMENT 'the agreement; without agreements, the programme',
    revision     UInt32               COMMENT 'from 1 on; a later one is a correction',
    close_number UInt32               COMMENT 'the close that sealed it',
    digest       String               COMMENT 'SHA-256 of the sealed counts and subjects',
    active_users UInt64               COMMENT 'sum over tenants and SKUs',
    sealed_at    DateTime64(3, 'UTC') COMMENT 'when it was sealed',
    newest       Bool                 COMMENT 'whether no later revision is there'
)
SQL SECURITY DEFINER
AS
SELECT
    month, agreement, revision, close_number, digest, arraySum(counts.active_users) AS active_users, sealed_at,
    revision = max(revision) OVER (PARTITION BY month, agreement) AS newest
FROM seals
COMMENT 'Sealed revisions of each month and agreement.'
