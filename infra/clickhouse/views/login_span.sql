-- login_span: when a tenant first logged in with a SKU in a month, through which broker, and the last day it did.
CREATE OR REPLACE VIEW login_span $on_cluster
(
    month           Date                   COMMENT 'first day of the month, in the time zone of the SKU''s programme',
    tenant          LowCardinality(String) COMMENT 'the service provider''s customer',
    sku             LowCardinality(String) COMMENT 'what was used',
    first_login     DateTime64(6, 'UTC')   COMMENT 'the month''s earliest login, in UTC',
    first_source    String                 COMMENT 'the broker that sent it; of several at the same microsecond, one',
    last_active_day Date                   COMMENT 'the last day with a login, in the programme''s time zone'
)
SQL SECURITY DEFINER
AS
SELECT
    month, tenant, sku,
    min(first_event.time) AS first_login,
    argMin(first_event.source, first_event.time) AS first_source,
    -- Bit d of active_days is day d of the month.
    addDays(month, arrayMax(bitPositionsToArray(groupBitOr(active_days))) - 1) AS last_active_day
FROM $active_users
GROUP BY month, tenant, sku
COMMENT 'First login with its broker, and last active day, by month, tenant and SKU.'
