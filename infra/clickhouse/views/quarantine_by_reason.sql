-- quarantine_by_reason: how many events were set aside, from which broker, why, and what became of them.
-- Reasons are listed in docs/sql.md; an event is in one row, under its latest state.
CREATE OR REPLACE VIEW quarantine_by_reason $on_cluster
(
    month    Date   COMMENT 'first day of the month (UTC) of the event''s time, or of its append time',
    month_of String COMMENT 'event; append where the event''s time could not be read',
    source   String COMMENT 'the broker that sent it; unknown where it could not be read',
    reason   String COMMENT 'why it was set aside',
    state    String COMMENT 'quarantined, waived, replayed or counted',
    events   UInt64 COMMENT 'how many'
)
SQL SECURITY DEFINER
AS
SELECT
    toStartOfMonth(ifNull(event_time, toDateTime64(append_time, 6, 'UTC'))) AS month,
    if(event_time IS NULL, 'append', 'event') AS month_of,
    source,
    latest.reason AS reason,
    transform(latest.state, [1, 2, 3, 4], ['quarantined', 'waived', 'replayed', 'counted'], 'unknown') AS state,
    count() AS events
FROM quarantine FINAL
GROUP BY month, month_of, source, reason, state
COMMENT 'Events set aside, by month, source, reason and state.'
