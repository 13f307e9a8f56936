-- report_states: where each revision of each report stands, read from its ledger. Without a row a report is open.
-- What counts as reported is WHERE in_force: the newest revision that was sent and not rejected, or else the newest.
CREATE OR REPLACE VIEW report_states $on_cluster
(
    agreement    String               COMMENT 'the agreement; without agreements, the programme',
    month        Date                 COMMENT 'first day of the month',
    revision     UInt32               COMMENT 'from 1 on; a later one is a correction',
    draft        UInt32               COMMENT 'the newest draft of this revision',
    state        String               COMMENT 'draft, approved, submitted, acknowledged, rejected or superseded',
    in_force     Bool                 COMMENT 'the newest revision that was sent and not rejected, or the newest if none was',
    due          Date                 COMMENT 'in the zone of the programme',
    measured     UInt64               COMMENT 'different subjects that logged in, summed over tenants and SKUs',
    reported     Int64                COMMENT 'what is paid for',
    findings     UInt64               COMMENT 'of all severities',
    blocking     UInt64               COMMENT 'findings that block and are not waived',
    prepared_by  String               COMMENT 'who made the newest draft',
    prepared_at  DateTime64(6, 'UTC') COMMENT 'when',
    approved_by  String               COMMENT 'empty while it is not approved',
    approved_at  Nullable(DateTime64(6, 'UTC')) COMMENT 'when',
    submitted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when an attempt to send it succeeded',
    receipt      String               COMMENT 'the distributor''s',
    report       String               COMMENT 'SHA-256 of the newest draft',
    seal_digest  String               COMMENT 'of the seal that it was counted from'
)
SQL SECURITY DEFINER
AS
WITH
    acts AS
    (
        SELECT
            agreement, month, place, at, actor, action, act,
            JSONExtractUInt(act, 'revision') AS revision,
            multiIf(
                action IN ('drafted', 'returned'), 'draft',
                action = 'approved', 'approved',
                action = 'ended' AND JSONExtractString(act, 'outcome') = 'accepted', 'submitted',
                action IN ('acknowledged', 'rejected'), action,
                ''
            ) AS becomes
        FROM report_ledger
    ),
    lives AS
    (
        SELECT
            agreement, month, revision,
            argMaxIf(becomes, place, becomes != '') AS own_state,
            argMaxIf(act, place, action = 'drafted') AS drafted,
            argMaxIf(actor, place, action = 'drafted') AS prepared_by,
            maxIf(at, action = 'drafted') AS prepared_at,
            -- The last of these alone: an approval lapses with the next draft.
            argMaxIf((actor, at, action), place, action IN ('drafted', 'returned', 'approved')) AS decided,
            minIf(at, becomes IN ('submitted', 'acknowledged', 'rejected')) AS sent_at,
            countIf(becomes IN ('submitted', 'acknowledged', 'rejected')) > 0 AS sent,
            argMaxIf(JSONExtractString(act, 'receipt'), place, action IN ('acknowledged', 'rejected')) AS receipt
        FROM acts
        WHERE revision > 0
        GROUP BY agreement, month, revision
    ),
    drafts AS
    (
        SELECT agreement, month, sha256, any(json) AS json
        FROM reports
        GROUP BY agreement, month, sha256
    ),
    placed AS
    (
        SELECT *, maxIf(revision, sent AND own_state != 'rejected') OVER m AS newest_sent, max(revision) OVER m AS newest
        FROM lives
        WINDOW m AS (PARTITION BY agreement, month)
    )
SELECT
    l.agreement AS agreement, l.month AS month, l.revision AS revision, JSONExtractUInt(l.drafted, 'draft') AS draft,
    if(l.sent AND l.revision < l.newest_sent, 'superseded', l.own_state) AS state,
    l.revision = if(l.newest_sent > 0, l.newest_sent, l.newest) AS in_force,
    toDate(JSONExtractString(d.json, 'due', 'day')) AS due,
    JSONExtractUInt(d.json, 'total', 'measured') AS measured,
    JSONExtractInt(d.json, 'total', 'reported') AS reported,
    JSONLength(d.json, 'findings') AS findings,
    arrayCount(
        f -> f.severity = 'blocking' AND f.waived IN ('', 'null'),
        JSONExtract(d.json, 'findings', 'Array(Tuple(severity String, waived String))')
    ) AS blocking,
    l.prepared_by AS prepared_by, l.prepared_at AS prepared_at,
    if(l.decided.3 = 'approved', l.decided.1, '') AS approved_by,
    if(l.decided.3 = 'approved', l.decided.2, NULL) AS approved_at,
    if(l.sent, l.sent_at, NULL) AS submitted_at,
    l.receipt AS receipt,
    JSONExtractString(l.drafted, 'report') AS report,
    JSONExtractString(l.drafted, 'seal_digest') AS seal_digest
FROM placed AS l
LEFT JOIN drafts AS d ON d.agreement = l.agreement AND d.month = l.month AND d.sha256 = JSONExtractString(l.drafted, 'report')
COMMENT 'Where each revision of each report stands.'
