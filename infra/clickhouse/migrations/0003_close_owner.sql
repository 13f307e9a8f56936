-- Two closes may ask for a number in the same instant: each sees by its own mark whether it has it.
ALTER TABLE close_numbers $on_cluster
    ADD COLUMN IF NOT EXISTS owner UUID COMMENT 'drawn by the close that takes the number';
