-- Why a version was applied although it changes what holds in months that are sealed.
ALTER TABLE catalogue_versions $on_cluster
    ADD COLUMN IF NOT EXISTS reason String COMMENT 'given with `catalogue apply --amend`; empty when no sealed month is touched';
