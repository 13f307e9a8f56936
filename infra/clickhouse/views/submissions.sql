-- submissions: every attempt to send a report, and how it ended. An attempt without an end was interrupted: it may
-- have arrived, so its outcome is unknown until a receipt or a person says.
CREATE OR REPLACE VIEW submissions $on_cluster
(
    agreement String               COMMENT 'the agreement; without agreements, the programme',
    month     Date                 COMMENT 'first day of the month',
    revision  UInt32               COMMENT 'of the report',
    attempt   UInt32               COMMENT 'of this revision, from 1 on',
    transport String               COMMENT 'email, https, sftp, folder or by-hand',
    target    String               COMMENT 'where it went',
    key       String               COMMENT 'idempotency key, the same for every attempt of a revision',
    outcome   String               COMMENT 'accepted, failed or unknown',
    note      String               COMMENT 'what the other side said, or who resolved it',
    begun_at  DateTime64(6, 'UTC') COMMENT 'written before anything is sent',
    ended_at  Nullable(DateTime64(6, 'UTC')) COMMENT 'the last word on it'
)
SQL SECURITY DEFINER
AS
SELECT
    agreement, month, JSONExtractUInt(act, 'revision') AS revision, JSONExtractUInt(act, 'attempt') AS attempt,
    anyIf(JSONExtractString(act, 'transport'), action = 'attempted') AS transport,
    anyIf(JSONExtractString(act, 'target'), action = 'attempted') AS target,
    anyIf(JSONExtractString(act, 'key'), action = 'attempted') AS key,
    if(countIf(action = 'ended') = 0, 'unknown', argMaxIf(JSONExtractString(act, 'outcome'), place, action = 'ended')) AS outcome,
    argMaxIf(JSONExtractString(act, 'note'), place, action = 'ended') AS note,
    minIf(at, action = 'attempted') AS begun_at,
    if(countIf(action = 'ended') = 0, NULL, maxIf(at, action = 'ended')) AS ended_at
FROM report_ledger
WHERE action IN ('attempted', 'ended')
GROUP BY agreement, month, revision, attempt
COMMENT 'Every attempt to send a report.'
