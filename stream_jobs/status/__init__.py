"""How an installation stands right now: asked of Kafka, ClickHouse and the workers, and of none of them twice."""
