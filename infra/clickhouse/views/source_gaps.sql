-- source_gaps: from when to when each source was not heard of, by the hours of its events' own times; the last gap of a
-- source ends now. Nights and weekends are gaps too: what was expected of it is what a close judges.
CREATE OR REPLACE VIEW source_gaps $on_cluster
(
    source      String         COMMENT 'as its events have it',
    silent_from DateTime('UTC') COMMENT 'end of the last hour in which an event took place',
    silent_to   DateTime('UTC') COMMENT 'begin of the next such hour; now for a gap that goes on',
    hours       Float64        COMMENT 'its length',
    goes_on     Bool           COMMENT 'whether nothing was heard of it since'
)
SQL SECURITY DEFINER
AS
WITH
    toUInt128(1) AS one,
    heard AS
    (
        SELECT source, toDateTime(day, 'UTC') + 900 * arrayJoin(arrayFilter(q -> bitAnd(bits, bitShiftLeft(one, q)) != 0, range(96))) AS begin
        FROM
        (
            SELECT source, day, groupBitOr(quarters) AS bits
            FROM source_activity
            GROUP BY source, day
        )
    )
SELECT
    source,
    toDateTime(begin + 3600, 'UTC') AS silent_from,
    toDateTime(if(next = toDateTime(0, 'UTC'), greatest(now('UTC'), silent_from), next), 'UTC') AS silent_to,
    (toUnixTimestamp(silent_to) - toUnixTimestamp(silent_from)) / 3600 AS hours,
    next = toDateTime(0, 'UTC') AS goes_on
FROM
(
    SELECT source, begin, leadInFrame(begin, 1, toDateTime(0, 'UTC')) OVER (PARTITION BY source ORDER BY begin ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next
    FROM heard
)
WHERE silent_to > silent_from
COMMENT 'When each source was not heard of.'
