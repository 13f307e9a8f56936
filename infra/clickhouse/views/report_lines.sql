-- report_lines: the lines of every revision, as its newest draft has them. For what is reported, join report_states
-- and take WHERE in_force. reported = measured - excluded - trial - free + adjusted + shortfall.
CREATE OR REPLACE VIEW report_lines $on_cluster
(
    agreement   String COMMENT 'the agreement; without agreements, the programme',
    month       Date   COMMENT 'first day of the month',
    revision    UInt32 COMMENT 'from 1 on; a later one is a correction',
    draft       UInt32 COMMENT 'the newest draft of this revision',
    tenant      String COMMENT 'the service provider''s customer; empty on a shortfall line',
    tenant_name String COMMENT 'its name',
    sku         String COMMENT 'what was used',
    sku_name    String COMMENT 'its name',
    family      String COMMENT 'product family of the SKU',
    deployment  String COMMENT 'cloud or on-prem',
    unit        String COMMENT 'what is counted: user or instance',
    measured    UInt64 COMMENT 'different subjects that logged in',
    excluded    UInt64 COMMENT 'of them excluded, with a reason',
    trial       UInt64 COMMENT 'of them in a trial that is not counted',
    free        UInt64 COMMENT 'of them free users',
    adjusted    Int64  COMMENT 'sum of the adjustments, signed',
    shortfall   UInt64 COMMENT 'added to reach a family''s minimum (CSP-25)',
    reported    Int64  COMMENT 'what is paid for'
)
SQL SECURITY DEFINER
AS
WITH
    newest AS
    (
        SELECT
            agreement, month, JSONExtractUInt(act, 'revision') AS revision,
            argMax(JSONExtractString(act, 'report'), place) AS report
        FROM report_ledger
        WHERE action = 'drafted'
        GROUP BY agreement, month, revision
    ),
    drafts AS
    (
        SELECT
            agreement, month, revision, draft, sha256,
            JSONExtract(
                any(json), 'lines',
                'Array(Tuple(tenant String, tenant_name String, sku String, sku_name String, family String, deployment String, unit String, measured UInt64, excluded UInt64, trial UInt64, free UInt64, adjusted Int64, shortfall UInt64, reported Int64))'
            ) AS lines
        FROM reports
        GROUP BY agreement, month, revision, draft, sha256
    )
SELECT
    d.agreement AS agreement, d.month AS month, d.revision AS revision, d.draft AS draft,
    line.1 AS tenant, line.2 AS tenant_name, line.3 AS sku, line.4 AS sku_name, line.5 AS family, line.6 AS deployment,
    line.7 AS unit, line.8 AS measured, line.9 AS excluded, line.10 AS trial, line.11 AS free, line.12 AS adjusted,
    line.13 AS shortfall, line.14 AS reported
FROM drafts AS d
INNER JOIN newest AS n
    ON n.agreement = d.agreement AND n.month = d.month AND n.revision = d.revision AND n.report = d.sha256
ARRAY JOIN d.lines AS line
COMMENT 'Lines of every report revision.'
