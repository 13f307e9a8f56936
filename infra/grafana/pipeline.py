"""The pipeline: do events arrive, are they stored, how late, and what does the time go into."""

from __future__ import annotations

from typing import Final

from infra.grafana.panels import Dashboard, Limits, Promql, series, stat, table


def _by_step(metric: str) -> Promql:
    return Promql(f"sum by (step) (rate({metric}[$__rate_interval]))", "{{step}}")


def _freshness(share: float) -> Promql:
    buckets = "sum by (le) (rate(rollcall_freshness_seconds_bucket[$__rate_interval]))"
    return Promql(f"histogram_quantile({share}, {buckets})", f"{share * 100:g} of 100")


PIPELINE: Final = Dashboard(
    "rollcall-pipeline", "Rollcall: pipeline", "From Kafka to ClickHouse: rate, lag, freshness, workers.",
    (
        stat(
            "Workers ready", "They have joined the group and read what is assigned to them.",
            Promql("sum(rollcall_ready)"), limits=Limits(0, 0, falling=True),
        ),
        stat(
            "Stuck", "Workers for which something waits and nothing moves.",
            Promql("sum(rollcall_stuck)"), limits=Limits(1, 1),
        ),
        stat("Events stored a second", "Repeats are counted.", Promql("sum(rate(rollcall_events_total[5m]))"), "ops"),
        stat(
            "Oldest event that waits", "0: none waits.",
            Promql("max(rollcall_lag_seconds)"), "s", Limits(300, 7200),
        ),
        stat(
            "Records behind", "Behind the group's committed offsets; told without any worker too.",
            Promql("sum(rollcall_group_lag_records)"),
        ),
        stat(
            "Lost records", "They left the log before they were read, since the workers started.",
            Promql("sum(rollcall_lost_records_total)"), limits=Limits(1, 1),
        ),
        series(
            "Events stored", "By what became of them.",
            Promql("sum by (result) (rate(rollcall_events_total[$__rate_interval]))", "{{result}}"),
            unit="ops", stacked=True,
        ),
        series(
            "Lag by partition", "Age of the oldest record that is not stored.",
            Promql("max by (partition) (rollcall_lag_seconds)", "{{partition}}"), unit="s",
        ),
        series(
            "Records that wait", "In the log and not stored, as each worker sees its partitions.",
            Promql("sum by (partition) (rollcall_lag_records)", "{{partition}}"), stacked=True,
        ),
        series(
            "Events that wait", "The same in events: an estimate by how many a record held lately.",
            Promql("sum by (partition) (rollcall_lag_events)", "{{partition}}"), stacked=True,
        ),
        series(
            "Freshness", "From Kafka's append of a batch's first record until the batch is stored.",
            _freshness(0.5), _freshness(0.99), unit="s",
        ),
        series(
            "What the workers' time goes into", "Seconds a second, by step; one worker has at most 1.",
            _by_step("rollcall_step_seconds_sum"), unit="percentunit", stacked=True,
        ),
        series(
            "Rows written and saved", "A saved row is an event that changed nothing stored.",
            Promql("sum(rate(rollcall_rows_written_total[$__rate_interval]))", "written"),
            Promql("sum(rate(rollcall_rows_saved_total[$__rate_interval]))", "saved"),
            unit="ops", stacked=True,
        ),
        series(
            "Cache hits", "Share of the counted events of which the cache knew that they change nothing stored.",
            Promql(
                "sum(rate(rollcall_cache_hits_total[$__rate_interval])) "
                '/ sum(rate(rollcall_events_total{result="counted"}[$__rate_interval]))', "hits",
            ),
            unit="percentunit",
        ),
        series(
            "Events in a batch", "The mean.",
            Promql(
                "sum(rate(rollcall_batch_events_sum[$__rate_interval])) "
                "/ sum(rate(rollcall_batch_events_count[$__rate_interval]))", "events",
            ),
            Promql(
                "sum(rate(rollcall_batch_records_sum[$__rate_interval])) "
                "/ sum(rate(rollcall_batch_records_count[$__rate_interval]))", "records",
            ),
        ),
        series(
            "Cache", "Rows that a worker remembers; at its limit the older half is forgotten.",
            Promql("rollcall_cache_rows", "{{instance}}"),
            Promql("rollcall_cache_limit_rows", "limit of {{instance}}"),
        ),
        series(
            "Retries and rebalances", "Steps that a server did not take at once; partitions assigned anew.",
            Promql("sum by (step) (increase(rollcall_retries_total[15m]))", "{{step}}"),
            Promql("sum(increase(rollcall_rebalances_total[15m]))", "rebalances"),
        ),
        series(
            "CPU", "Of each worker: 1 is a core.",
            Promql('rate(process_cpu_seconds_total{job="rollcall-worker"}[$__rate_interval])', "{{instance}}"),
            unit="percentunit",
        ),
        series(
            "Memory", "Of each worker.",
            Promql('process_resident_memory_bytes{job="rollcall-worker"}', "{{instance}}"), unit="bytes",
        ),
        table(
            "How far each partition is stored", "As the dedup job saw the log when it last stored.",
            "SELECT partition, next_offset, end_offset, records_behind, newest_append_time, seconds_since_stored\n"
            "FROM ingest_lag\nORDER BY records_behind DESC, partition",
            width=24,
        ),
    ),
)  # fmt: skip
