-- active_users_by_month: the number that is reported: how many different subjects logged in, by month, tenant and SKU.
-- Exact at any time, whether ClickHouse has merged its parts or not. Filter on `month`.
CREATE OR REPLACE VIEW active_users_by_month $on_cluster
(
    month        Date                   COMMENT 'first day of the month, in the time zone of the SKU''s programme',
    tenant       LowCardinality(String) COMMENT 'the service provider''s customer',
    sku          LowCardinality(String) COMMENT 'what was used',
    active_users UInt64                 COMMENT 'different subjects that logged in; instances for SKUs counted so'
)
SQL SECURITY DEFINER
AS
-- As a number a subject is hashed faster than as text; the sets are the same.
SELECT month, tenant, sku, uniqExact(reinterpretAsUInt128(subject)) AS active_users
FROM $active_users
GROUP BY month, tenant, sku
COMMENT 'Different subjects that logged in, by month, tenant and SKU. Exact; filter on month.'
