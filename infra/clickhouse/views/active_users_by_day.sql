-- active_users_by_day: how many different subjects were active on each day, by tenant and SKU. Days are those of the
-- programme's time zone. A subject that logs in on five days is in five rows: days do not add up to the month.
-- Filter on `month` (and on `day` within it): it is by `month` that only the data asked for are read.
CREATE OR REPLACE VIEW active_users_by_day $on_cluster
(
    day          Date                   COMMENT 'in the time zone of the SKU''s programme',
    tenant       LowCardinality(String) COMMENT 'the service provider''s customer',
    sku          LowCardinality(String) COMMENT 'what was used',
    active_users UInt64                 COMMENT 'different subjects that logged in on that day; days without are left out',
    month        Date                   COMMENT 'first day of the month that the day is in'
)
SQL SECURITY DEFINER
AS
SELECT day, tenant, sku, users - surplus AS active_users, month
FROM
(
SELECT addDays(month, number - 1) AS day, tenant, sku, bitShiftRight(bits, number) AS users, month
FROM
(
    -- Bit d of active_days is day d of the month. Summing the masked bits costs a third of counting them one by one.
    SELECT month, tenant, sku, [
        sum(bitAnd(active_days, 2)), sum(bitAnd(active_days, 4)), sum(bitAnd(active_days, 8)),
        sum(bitAnd(active_days, 16)), sum(bitAnd(active_days, 32)), sum(bitAnd(active_days, 64)),
        sum(bitAnd(active_days, 128)), sum(bitAnd(active_days, 256)), sum(bitAnd(active_days, 512)),
        sum(bitAnd(active_days, 1024)), sum(bitAnd(active_days, 2048)), sum(bitAnd(active_days, 4096)),
        sum(bitAnd(active_days, 8192)), sum(bitAnd(active_days, 16384)), sum(bitAnd(active_days, 32768)),
        sum(bitAnd(active_days, 65536)), sum(bitAnd(active_days, 131072)), sum(bitAnd(active_days, 262144)),
        sum(bitAnd(active_days, 524288)), sum(bitAnd(active_days, 1048576)), sum(bitAnd(active_days, 2097152)),
        sum(bitAnd(active_days, 4194304)), sum(bitAnd(active_days, 8388608)), sum(bitAnd(active_days, 16777216)),
        sum(bitAnd(active_days, 33554432)), sum(bitAnd(active_days, 67108864)), sum(bitAnd(active_days, 134217728)),
        sum(bitAnd(active_days, 268435456)), sum(bitAnd(active_days, 536870912)), sum(bitAnd(active_days, 1073741824)),
        sum(bitAnd(active_days, 2147483648))
    ] AS sums
    FROM $active_users FINAL
    GROUP BY month, tenant, sku
)
ARRAY JOIN sums AS bits, arrayEnumerate(sums) AS number
WHERE bits > 0
) AS counted
LEFT JOIN
(
    -- Names of one person beyond the first of each day: only tenants with aliases are read for it.
    SELECT month, tenant, sku, addDays(month, number - 1) AS day, sum(names - 1) AS surplus
    FROM
    (
        SELECT a.month AS month, a.tenant AS tenant, a.sku AS sku, l.representative AS representative, number,
            uniqExact(a.subject) AS names
        FROM
        (
            SELECT month, tenant, sku, subject, bitPositionsToArray(groupBitOr(active_days)) AS numbers
            FROM $active_users
            WHERE (month, tenant) IN (SELECT month, tenant FROM alias_versions)
            GROUP BY month, tenant, sku, subject
        ) AS a
        INNER JOIN linked_subjects AS l ON a.month = l.month AND a.tenant = l.tenant AND a.subject = l.subject
        ARRAY JOIN numbers AS number
        GROUP BY month, tenant, sku, representative, number
    )
    GROUP BY month, tenant, sku, day
) AS linked USING (month, tenant, sku, day)
COMMENT 'Different subjects that logged in, by day, tenant and SKU. Exact; filter on month.'
