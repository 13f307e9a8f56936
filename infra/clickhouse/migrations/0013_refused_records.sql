-- What a source's reader could not read as logins: of its newest report that says so, before each close.
ALTER TABLE source_reports $on_cluster
    ADD COLUMN IF NOT EXISTS refused SimpleAggregateFunction(max, Tuple(append_time DateTime64(3, 'UTC'), offset UInt64, records UInt64)) COMMENT 'records that wait at the source to be mended, or were lost by it; of 1970-01-01 where that was not said';
