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
    last.reason AS reason,
    transform(last.state, [1, 2, 3, 4], ['quarantined', 'waived', 'replayed', 'counted'], 'unknown') AS state,
    count() AS events
FROM
(
    -- Not FINAL: it reads a member of `latest` (latest.state) without joining it, from any of the unmerged rows.
    SELECT max(q.latest) AS last, max(q.source) AS source, max(q.event_time) AS event_time, min(q.append_time) AS append_time
    FROM quarantine AS q
    GROUP BY topic_id, partition, offset, place
)
-- A row of the year 2262 only tells that a replay was counted, of which no entry is known.
WHERE append_time < toDateTime64('2262-01-01 00:00:00', 3, 'UTC')
GROUP BY month, month_of, source, reason, state
COMMENT 'Events set aside, by month, source, reason and state.'
