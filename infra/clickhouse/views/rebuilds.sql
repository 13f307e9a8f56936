-- rebuilds: months that were read again from the log, and what is in force since (decision 8b).
CREATE OR REPLACE VIEW rebuilds $on_cluster
(
    generation        UInt32               COMMENT 'the greatest is in force; 1, the first reading, has no row',
    month             Date                 COMMENT 'the month that was read again',
    catalogue_version UInt32               COMMENT 'by which it was read; 0: as the log says',
    reason            String               COMMENT 'as it was given',
    actor             String               COMMENT 'operating system''s user',
    voids             String               COMMENT 'JSON: what was left out, with the reasons',
    in_force_at       DateTime64(3, 'UTC') COMMENT 'since when',
    in_force          Bool                 COMMENT 'whether no later generation is there'
)
SQL SECURITY DEFINER
AS
SELECT
    number AS generation, month, catalogue_version, reason, actor, voids, in_force_at,
    number = max(number) OVER () AS in_force
FROM generations
COMMENT 'Months that were read again from the log.'
