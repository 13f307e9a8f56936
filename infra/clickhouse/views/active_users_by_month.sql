-- active_users_by_month: the number that is reported: how many different subjects logged in, by month, tenant and SKU.
-- Exact at any time, whether ClickHouse has merged its parts or not. Names of one person count once, by the aliases
-- that were resolved last. Filter on `month`.
CREATE OR REPLACE VIEW active_users_by_month $on_cluster
(
    month        Date                   COMMENT 'first day of the month, in the time zone of the SKU''s programme',
    tenant       LowCardinality(String) COMMENT 'the service provider''s customer',
    sku          LowCardinality(String) COMMENT 'what was used',
    active_users UInt64                 COMMENT 'different subjects that logged in; instances for SKUs counted so'
)
SQL SECURITY DEFINER
AS
SELECT month, tenant, sku, users - surplus AS active_users
FROM
(
    -- As a number a subject is hashed faster than as text; the sets are the same.
    SELECT month, tenant, sku, uniqExact(reinterpretAsUInt128(subject)) AS users
    FROM $active_users
    GROUP BY month, tenant, sku
) AS counted
LEFT JOIN
(
    -- Names of one person beyond the first: only tenants with aliases are read for it.
    SELECT a.month AS month, a.tenant AS tenant, a.sku AS sku, uniqExact(a.subject) - uniqExact(l.representative) AS surplus
    FROM
    (
        SELECT month, tenant, sku, subject
        FROM $active_users
        WHERE (month, tenant) IN (SELECT month, tenant FROM alias_versions)
    ) AS a
    INNER JOIN linked_subjects AS l ON a.month = l.month AND a.tenant = l.tenant AND a.subject = l.subject
    GROUP BY month, tenant, sku
) AS linked USING (month, tenant, sku)
COMMENT 'Different subjects that logged in, by month, tenant and SKU. Exact; filter on month.'
