-- sources: who sends, when each was last heard of, and what its reader or gateway told last. Declared sources are
-- those of the newest catalogue version; others that were heard of are here too. Hours are hours of the events' times.
CREATE OR REPLACE VIEW sources $on_cluster
(
    source       String  COMMENT 'as its events have it; or a gateway''s own name',
    declared     Bool    COMMENT 'whether the newest catalogue version declares it for today',
    kind         String  COMMENT 'as declared; empty where it is not',
    silent_after UInt32  COMMENT 'seconds of its expected hours that it may be silent; 0 without a rhythm',
    last_event   Nullable(DateTime('UTC')) COMMENT 'begin of the hour in which its newest event took place',
    gap_seconds  Nullable(Int64) COMMENT 'since the end of that hour, nights and weekends included; 0 within it',
    last_report  Nullable(DateTime64(3, 'UTC')) COMMENT 'when it, or somebody for it, last reported of it',
    complete_to  Nullable(DateTime64(6, 'UTC')) COMMENT 'watermark: every login before it that was given to it is in Kafka',
    spool_bytes  Nullable(UInt64) COMMENT 'what waited for Kafka at the last report',
    last_poll    Nullable(DateTime64(6, 'UTC')) COMMENT 'begin of its reader''s last successful poll',
    error        String COMMENT 'why the last try failed; empty if it did not',
    delay_min_ms Nullable(Int64) COMMENT 'least time from event to Kafka on the newest day with events, of samples; below 0 its clock is ahead',
    delay_max_ms Nullable(Int64) COMMENT 'greatest of that day',
    refused      UInt64 COMMENT 'records that its reader could not read as logins, and that wait there to be mended, or were lost'
)
SQL SECURITY DEFINER
AS
WITH
    toUInt128(1) AS one,
    heard AS
    (
        SELECT source, max(day) AS newest, argMax(bits, day) AS bits, argMax(low, day) AS low, argMax(high, day) AS high
        FROM
        (
            SELECT source, day, groupBitOr(quarters) AS bits, min(delay_min) AS low, max(delay_max) AS high
            FROM source_activity
            GROUP BY source, day
        )
        GROUP BY source
    ),
    told AS
    (
        SELECT
            source, max(newest) AS last, max(complete_to) AS complete, tupleElement(max(refused), 'records') AS records,
            maxIf(tupleElement(newest, 'polled'), tupleElement(newest, 'polled') > toDateTime64(0, 6, 'UTC')) AS polled
        FROM source_reports
        GROUP BY source
    ),
    expected AS
    (
        SELECT source, any(kind) AS kind, any(silent_after) AS silent_after, 1 AS is_declared
        FROM catalogue_sources
        WHERE version = (SELECT max(version) FROM catalogue_versions)
            AND valid_from <= toDate(now('UTC')) AND toDate(now('UTC')) < valid_to
        GROUP BY source
    ),
    names AS
    (
        SELECT source FROM heard UNION DISTINCT SELECT source FROM told UNION DISTINCT SELECT source FROM expected
    )
SELECT
    n.source AS source,
    e.is_declared = 1 AS declared,
    e.kind AS kind,
    e.silent_after AS silent_after,
    if(h.bits = 0, NULL, toDateTime(h.newest, 'UTC') + 900 * arrayMax(arrayFilter(q -> bitAnd(h.bits, bitShiftLeft(one, q)) != 0, range(96)))) AS last_event,
    if(last_event IS NULL, NULL, greatest(0, toUnixTimestamp(now('UTC')) - toUnixTimestamp(assumeNotNull(last_event)) - 3600)) AS gap_seconds,
    if(t.source = '', NULL, tupleElement(t.last, 'append_time')) AS last_report,
    if(t.complete > toDateTime64(0, 6, 'UTC'), t.complete, NULL) AS complete_to,
    if(t.source = '' OR tupleElement(t.last, 'spool_bytes') < 0, NULL, toUInt64(tupleElement(t.last, 'spool_bytes'))) AS spool_bytes,
    if(t.polled > toDateTime64(0, 6, 'UTC'), t.polled, NULL) AS last_poll,
    if(t.source = '', '', tupleElement(t.last, 'error')) AS error,
    if(h.bits = 0 OR h.low > h.high, NULL, h.low) AS delay_min_ms,
    if(h.bits = 0 OR h.low > h.high, NULL, h.high) AS delay_max_ms,
    t.records AS refused
FROM names AS n
LEFT JOIN heard AS h ON h.source = n.source
LEFT JOIN told AS t ON t.source = n.source
LEFT JOIN expected AS e ON e.source = n.source
SETTINGS join_use_nulls = 0
COMMENT 'Every source: last event, gap, last report, watermark, spool, clock.'
