-- report_findings: what the newest draft of each revision found, by rule, with who waived it and why.
CREATE OR REPLACE VIEW report_findings $on_cluster
(
    agreement   String COMMENT 'the agreement; without agreements, the programme',
    month       Date   COMMENT 'first day of the month',
    revision    UInt32 COMMENT 'from 1 on; a later one is a correction',
    finding     String COMMENT 'its id, the same in every draft',
    kind        String COMMENT 'a rule''s kind, or what else was looked at',
    severity    String COMMENT 'info, warning or blocking',
    text        String COMMENT 'what is so, and what to do',
    rule        String COMMENT 'the catalogue''s rule entry; empty for checks of Rollcall''s own',
    rule_source String COMMENT 'where that rule stands',
    waived_by   String COMMENT 'empty while it is not waived',
    waived_for  String COMMENT 'the reason'
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
        SELECT agreement, month, revision, sha256, JSONExtractArrayRaw(any(json), 'findings') AS findings
        FROM reports
        GROUP BY agreement, month, revision, sha256
    )
SELECT
    d.agreement AS agreement, d.month AS month, d.revision AS revision,
    JSONExtractString(f, 'id') AS finding, JSONExtractString(f, 'kind') AS kind,
    JSONExtractString(f, 'severity') AS severity, JSONExtractString(f, 'text') AS text,
    JSONExtractString(f, 'rule', 'id') AS rule, JSONExtractString(f, 'rule', 'source') AS rule_source,
    JSONExtractString(f, 'waived', 'actor') AS waived_by, JSONExtractString(f, 'waived', 'reason') AS waived_for
FROM drafts AS d
INNER JOIN newest AS n
    ON n.agreement = d.agreement AND n.month = d.month AND n.revision = d.revision AND n.report = d.sha256
ARRAY JOIN d.findings AS f
COMMENT 'Findings of every report revision.'
