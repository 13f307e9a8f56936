-- report_history: the ledger of every report: who did what, when and why. Nothing in it is ever changed.
CREATE OR REPLACE VIEW report_history $on_cluster
(
    agreement String               COMMENT 'the agreement; without agreements, the programme',
    month     Date                 COMMENT 'first day of the month',
    place     UInt32               COMMENT 'in the ledger of this agreement and month, from 1 on',
    at        DateTime64(6, 'UTC') COMMENT 'by the clock of who did it',
    actor     String               COMMENT 'operating system''s user, signer, or month-end',
    action    String               COMMENT 'drafted, adjusted, waived, approved, returned, attempted, ended, acknowledged, rejected, notified',
    revision  UInt32               COMMENT '0 where it belongs to no revision',
    tenant    String               COMMENT 'of an adjustment',
    sku       String               COMMENT 'of an adjustment',
    quantity  Int64                COMMENT 'of an adjustment, signed',
    reason    String               COMMENT 'as it was given',
    text      String               COMMENT 'as it was given; of an attempt to send, where to, or how it ended',
    act       String               COMMENT 'all of it, as JSON'
)
SQL SECURITY DEFINER
AS
SELECT
    agreement, month, place, at, actor, action, JSONExtractUInt(act, 'revision') AS revision,
    JSONExtractString(act, 'tenant') AS tenant, JSONExtractString(act, 'sku') AS sku,
    JSONExtractInt(act, 'quantity') AS quantity, JSONExtractString(act, 'reason') AS reason,
    arrayStringConcat(
        arrayFilter(
            part -> part != '',
            [
                JSONExtractString(act, 'finding'), JSONExtractString(act, 'text'), JSONExtractString(act, 'transport'),
                JSONExtractString(act, 'target'), JSONExtractString(act, 'outcome'), JSONExtractString(act, 'receipt'),
                JSONExtractString(act, 'note')
            ]
        ), ' '
    ) AS text,
    act
FROM report_ledger
COMMENT 'The ledger of every report.'
