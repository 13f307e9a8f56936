-- running_estimate: where the current month stands, by tenant and SKU, with the names that the catalogue has for them.
-- Current is the month that it is now in the time zone of the SKU's programme. An estimate only because the month is
-- not over: the count itself is exact. Names come from the newest catalogue version that has the SKU or the tenant.
CREATE OR REPLACE VIEW running_estimate $on_cluster
(
    month        Date                   COMMENT 'first day of the current month in the programme''s time zone',
    tenant       LowCardinality(String) COMMENT 'the service provider''s customer',
    tenant_name  String                 COMMENT 'its name; empty where no catalogue version has it',
    sku          LowCardinality(String) COMMENT 'what was used',
    sku_name     String                 COMMENT 'its name; empty where no catalogue version has it',
    family       String                 COMMENT 'product family of the SKU',
    programme    String                 COMMENT 'the vendor''s programme that the SKU belongs to',
    time_zone    String                 COMMENT 'of the programme; UTC where the catalogue has none',
    unit         String                 COMMENT 'what is counted: user or instance',
    active_users UInt64                 COMMENT 'different subjects that logged in so far'
)
SQL SECURITY DEFINER
AS
WITH
    skus AS
    (
        SELECT sku, argMax((name, family, programme, time_zone, unit), version) AS named
        FROM catalogue_skus
        GROUP BY sku
    ),
    tenants AS
    (
        SELECT tenant, argMax(name, version) AS name
        FROM catalogue_tenants
        GROUP BY tenant
    ),
    linked AS
    (
        -- Names of one person beyond the first: only tenants with aliases are read for it.
        SELECT a.month AS month, a.tenant AS tenant, a.sku AS sku, uniqExact(a.subject) - uniqExact(l.representative) AS surplus
        FROM
        (
            SELECT month, tenant, sku, subject
            FROM $active_users
            WHERE month BETWEEN toStartOfMonth(toDate(now('UTC')) - 1) AND toStartOfMonth(toDate(now('UTC')) + 1)
                AND (month, tenant) IN (SELECT month, tenant FROM alias_versions)
        ) AS a
        INNER JOIN linked_subjects AS l ON a.month = l.month AND a.tenant = l.tenant AND a.subject = l.subject
        GROUP BY month, tenant, sku
    ),
    counted AS
    (
        SELECT month, tenant, sku, uniqExact(reinterpretAsUInt128(subject)) AS users
        FROM $active_users
        -- It is never a day later or earlier anywhere than it is in UTC.
        WHERE month BETWEEN toStartOfMonth(toDate(now('UTC')) - 1) AND toStartOfMonth(toDate(now('UTC')) + 1)
        GROUP BY month, tenant, sku
    )
SELECT
    month, tenant, tenants.name AS tenant_name, sku, named.1 AS sku_name, named.2 AS family, named.3 AS programme,
    if(named.4 = '', 'UTC', named.4) AS time_zone, named.5 AS unit, users - surplus AS active_users
FROM counted
LEFT JOIN linked USING (month, tenant, sku)
LEFT JOIN skus USING (sku)
LEFT JOIN tenants USING (tenant)
WHERE month = toDate(formatDateTime(now(), '%Y-%m-01', time_zone))
COMMENT 'The current month so far, by tenant and SKU, with their names. Exact.'
