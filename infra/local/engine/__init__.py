"""The ClickHouse engine (`chdb`), served over ClickHouse's own HTTP protocol by one process on loopback."""
