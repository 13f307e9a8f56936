-- A first event is mostly an id of random hexadecimal digits, which LZ4 hardly shortens and ZSTD halves.
ALTER TABLE active_users $on_cluster
    MODIFY COLUMN first_event CODEC(ZSTD(1));

ALTER TABLE seal_subjects $on_cluster
    MODIFY COLUMN first_event CODEC(ZSTD(1));

-- The parts of a large seal are written in order and never change: merging them would only slow whoever reads them next.
ALTER TABLE seal_subjects $on_cluster
    MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 104857600;
