-- reconciliations: other counts of a month beside what the newest seals count, the newest import of each origin only.
-- Why they differ, `rollcall reconcile` says.
CREATE OR REPLACE VIEW reconciliations $on_cluster
(
    month       Date                 COMMENT 'first day of the month',
    origin      String               COMMENT 'who counted, by the column map',
    tenant      String               COMMENT 'the customer, as the catalogue names it; else as the other side does',
    sku         String               COMMENT 'the SKU, likewise',
    theirs      UInt64               COMMENT 'what the other side has as paid for, or in total where it says no more',
    ours        UInt64               COMMENT 'what the newest seals count; 0 where nothing is sealed',
    difference  Int64                COMMENT 'theirs - ours',
    their_total Nullable(UInt64)     COMMENT 'paid and free together, where it is given',
    their_free  Nullable(UInt64)     COMMENT 'free users, where they are given',
    actor       String               COMMENT 'who imported it',
    imported_at DateTime64(3, 'UTC') COMMENT 'when'
)
SQL SECURITY DEFINER
AS
WITH
    newest AS
    (
        SELECT month, origin, argMax(import_id, (imported_at, import_id)) AS import_id
        FROM other_counts
        GROUP BY month, origin
    ),
    sealed AS
    (
        SELECT month, cell.tenant AS tenant, cell.sku AS sku, sum(cell.active_users) AS counted
        FROM (SELECT month, agreement, argMax(counts, revision) AS cells FROM seals GROUP BY month, agreement)
        ARRAY JOIN cells AS cell
        GROUP BY month, tenant, sku
    )
SELECT
    month, origin, tenant, sku, coalesce(paid, total, 0) AS theirs, counted AS ours,
    toInt64(theirs) - toInt64(ours) AS difference, total AS their_total, free AS their_free, actor, imported_at
FROM other_counts
INNER JOIN newest USING (month, origin, import_id)
LEFT JOIN sealed USING (month, tenant, sku)
COMMENT 'Other counts of a month beside the sealed ones.'
