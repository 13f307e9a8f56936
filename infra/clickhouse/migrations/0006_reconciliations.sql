-- Other counts of the same month, as they were imported to be compared: immutable, one import after the other.
CREATE TABLE IF NOT EXISTS other_counts $on_cluster
(
    import_id   UUID,
    month       Date,
    origin      String COMMENT 'who counted: the name of the map or of the file',
    sha256      String COMMENT 'of the imported file',
    actor       String,
    tenant      String,
    sku         String,
    total       Nullable(UInt64) COMMENT 'paid + free, where it is given',
    paid        Nullable(UInt64),
    free        Nullable(UInt64),
    imported_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replicated}MergeTree
ORDER BY (month, origin, import_id, tenant, sku);
