-- Who logged in and is not counted, per seal: trials, exclusions, free users. The subjects are in seal_subjects.
ALTER TABLE seals $on_cluster
    ADD COLUMN IF NOT EXISTS left_out Array(Tuple(tenant String, sku String, kind String, reason String, subjects UInt64));
