"""Every metric that Rollcall exports: name, unit and meaning, in one place. docs/observability.md is made from it.

A name, once released, keeps its meaning. Labels are bounded: partitions, reasons, steps, and at most SOURCES sources;
never a tenant or a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
Unit = Literal[
    "seconds", "bytes", "days", "ratio", "events", "records", "rows", "users", "tries", "rebalances", "partitions",
    "workers", "requests", "connections", "number", "0 or 1", "1",
]  # fmt: skip
MEASURES: Final = ("seconds", "bytes", "days", "ratio")

SOURCES: Final = 20
"""Sources that are shown by name: those with the worst share."""

_SIZES: Final = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
_STEPS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)
_AGES: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400)


@dataclass(frozen=True)
class Metric:
    """`name` is the family's: Prometheus sees a counter with `_total`, a histogram with `_bucket`, `_sum`, `_count`.

    A name ends with its `unit` where that is a measure (seconds, bytes, days, ratio); `0 or 1` answers a question.
    """

    name: str
    kind: Kind
    unit: Unit
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


# A worker's, by batch

EVENTS: Final = Metric(
    "rollcall_events", "counter", "events",
    "Events that are stored, by what became of them: `counted` (repeats are), or `quarantined` with the reason.",
    ("result", "reason"),
)  # fmt: skip
RECORDS: Final = Metric(
    "rollcall_records", "counter", "records", "Kafka records that are stored; one may hold many events."
)
ROWS_WRITTEN: Final = Metric("rollcall_rows_written", "counter", "rows", "Rows inserted into `active_users`.")
ROWS_SAVED: Final = Metric(
    "rollcall_rows_saved", "counter", "events",
    "Counted events that needed no row: the cache knew it (a hit), or an event of the same batch had brought it.",
)  # fmt: skip
CACHE_HITS: Final = Metric(
    "rollcall_cache_hits", "counter", "events", "Counted events of which the cache knew that they change no stored row."
)
BATCH_RECORDS: Final = Metric("rollcall_batch_records", "histogram", "records", "Records in a batch.", buckets=_SIZES)
BATCH_EVENTS: Final = Metric("rollcall_batch_events", "histogram", "events", "Events in a batch.", buckets=_SIZES)
STEP_SECONDS: Final = Metric(
    "rollcall_step_seconds", "histogram", "seconds",
    "What a batch spends its time on: `open` (control records, catalogue), `fold`, `decode` (the part of `fold` that "
    "reads and judges JSON), `quarantine`, `columns`, `insert` (all blocks, their retries too), `learn`.",
    ("step",), _STEPS,
)  # fmt: skip
FRESHNESS_SECONDS: Final = Metric(
    "rollcall_freshness_seconds", "histogram", "seconds",
    "From Kafka's append of a batch's first record until the batch is stored: no event of it took longer.",
    buckets=_AGES,
)  # fmt: skip
RETRIES: Final = Metric(
    "rollcall_retries", "counter", "tries",
    "Tries after the first of a step that ClickHouse or Kafka did not take.", ("step",),
)  # fmt: skip
LOST_RECORDS: Final = Metric(
    "rollcall_lost_records", "counter", "records",
    "Offsets that left the log unread (retention): findings of their months.",
)  # fmt: skip

# A worker's, as it stands

ASSIGNED: Final = Metric("rollcall_assigned_partitions", "gauge", "partitions", "Partitions that this worker reads.")
LAG_RECORDS: Final = Metric(
    "rollcall_lag_records", "gauge", "records",
    "Records in the log that are not stored yet, of a partition of this worker.",
    ("partition",),
)  # fmt: skip
LAG_EVENTS: Final = Metric(
    "rollcall_lag_events", "gauge", "events",
    "An estimate of the same in events: by how many a record of the newest batch held.", ("partition",),
)  # fmt: skip
LAG_SECONDS: Final = Metric(
    "rollcall_lag_seconds", "gauge", "seconds",
    "Age of the oldest record that is not stored yet, by its append time; 0: none.",
    ("partition",),
)  # fmt: skip
REBALANCES: Final = Metric("rollcall_rebalances", "counter", "rebalances", "Times that partitions were assigned anew.")
CACHE_ROWS: Final = Metric(
    "rollcall_cache_rows", "gauge", "rows", "Stored rows that the worker remembers, to save inserts."
)
CACHE_LIMIT: Final = Metric(
    "rollcall_cache_limit_rows", "gauge", "rows", "How many it may remember (worker.cache_entries)."
)
QUARANTINE_RATIO: Final = Metric(
    "rollcall_quarantine_ratio", "gauge", "ratio",
    f"Share of a source's newest events that went to the quarantine, as the cap sees it; the {SOURCES} worst sources "
    "of those with `worker.quarantine_sample` events or more.",
    ("source",),
)  # fmt: skip
QUARANTINE_LIMIT: Final = Metric(
    "rollcall_quarantine_limit_ratio", "gauge", "ratio", "The share above which the cap stops the workers."
)
GENERATION: Final = Metric(
    "rollcall_generation", "gauge", "number", "Generation of `active_users` that the worker fills."
)
READY: Final = Metric(
    "rollcall_ready", "gauge", "0 or 1", "1: the worker has joined its group and reads what is assigned to it."
)
STUCK: Final = Metric(
    "rollcall_stuck", "gauge", "0 or 1", "1: something waits to be stored, and nothing has moved for too long."
)
LAST_MOVE: Final = Metric(
    "rollcall_last_progress_timestamp_seconds", "gauge", "seconds",
    "When something was last stored, or nothing waited to be; Unix time.",
)  # fmt: skip
WORKER: Final = Metric(
    "rollcall_worker", "info", "1", "Always 1: who this is.", ("version", "group", "topic", "seat")
)  # fmt: skip

WORKERS: Final = (
    EVENTS, RECORDS, ROWS_WRITTEN, ROWS_SAVED, CACHE_HITS, BATCH_RECORDS, BATCH_EVENTS, STEP_SECONDS,
    FRESHNESS_SECONDS, RETRIES, LOST_RECORDS, ASSIGNED, LAG_RECORDS, LAG_EVENTS, LAG_SECONDS, REBALANCES, CACHE_ROWS,
    CACHE_LIMIT, QUARANTINE_RATIO, QUARANTINE_LIMIT, GENERATION, READY, STUCK, LAST_MOVE, WORKER,
)  # fmt: skip

# A gateway's

GATEWAY_EVENTS: Final = Metric(
    "rollcall_gateway_events", "counter", "events",
    "Events that were answered: `kafka` (acknowledged), `spool` (stored here until Kafka takes them), or `refused` "
    "with the reason.",
    ("result", "reason"),
)  # fmt: skip
GATEWAY_REQUESTS: Final = Metric(
    "rollcall_gateway_requests", "counter", "requests", "Requests for events, by status.", ("status",)
)
GATEWAY_SECONDS: Final = Metric(
    "rollcall_gateway_request_seconds", "histogram", "seconds", "From a request's headers until its answer.",
    buckets=_STEPS,
)  # fmt: skip
GATEWAY_WAITING: Final = Metric(
    "rollcall_gateway_waiting_bytes", "gauge", "bytes", "Bodies in hand that are not answered yet."
)
GATEWAY_CONNECTIONS: Final = Metric("rollcall_gateway_connections", "gauge", "connections", "Open connections.")
GATEWAY_SPOOL_BYTES: Final = Metric(
    "rollcall_gateway_spool_bytes", "gauge", "bytes", "What waits in the spool for Kafka."
)
GATEWAY_SPOOL_LIMIT: Final = Metric("rollcall_gateway_spool_limit_bytes", "gauge", "bytes", "What the spool may hold.")
GATEWAY_SPOOL_SECONDS: Final = Metric(
    "rollcall_gateway_spool_seconds", "gauge", "seconds", "Age of the oldest that waits in the spool; 0: it is empty."
)
GATEWAY_KAFKA: Final = Metric(
    "rollcall_gateway_kafka", "gauge", "0 or 1", "1: Kafka acknowledges; 0: events are spooled."
)
GATEWAY_READY: Final = Metric("rollcall_gateway_ready", "gauge", "0 or 1", "1: events can be taken.")
GATEWAY: Final = Metric("rollcall_gateway", "info", "1", "Always 1: who this is.", ("version", "topic"))

GATEWAYS: Final = (
    GATEWAY_EVENTS, GATEWAY_REQUESTS, GATEWAY_SECONDS, GATEWAY_WAITING, GATEWAY_CONNECTIONS, GATEWAY_SPOOL_BYTES,
    GATEWAY_SPOOL_LIMIT, GATEWAY_SPOOL_SECONDS, GATEWAY_KAFKA, GATEWAY_READY, GATEWAY,
)  # fmt: skip

# What no worker knows: `rollcall metrics`

PART_UP: Final = Metric(
    "rollcall_up", "gauge", "0 or 1",
    "1: this part could be read: `log` (Kafka), `store` (ClickHouse), `reports`.", ("part",),
)  # fmt: skip
GROUP_LAG: Final = Metric(
    "rollcall_group_lag_records", "gauge", "records",
    "Records behind the group's committed offset; told without any worker too.",
    ("partition",),
)  # fmt: skip
GROUP_MEMBERS: Final = Metric("rollcall_group_members", "gauge", "workers", "Workers in the consumer group.")
ACTIVE_USERS: Final = Metric(
    "rollcall_active_users", "gauge", "users", "Active users of the current month so far, over all tenants.", ("sku",)
)
QUARANTINED: Final = Metric(
    "rollcall_quarantined_events", "gauge", "events", "Events of this month and the last that wait in the quarantine.",
    ("reason",),
)  # fmt: skip
CAP_TRIPPED: Final = Metric(
    "rollcall_cap_tripped", "gauge", "0 or 1",
    "1: this source's bad share has stopped the workers; lift it.", ("source",),
)  # fmt: skip
SOURCE_SILENT: Final = Metric(
    "rollcall_source_silent", "gauge", "0 or 1",
    "1: this source has been silent for longer than its rhythm allows; else 0.",
    ("source",),
)  # fmt: skip
SOURCE_REFUSED: Final = Metric(
    "rollcall_source_refused_records", "gauge", "records",
    "Records that a source's reader could not read as logins: they wait there to be mended, or were lost.",
    ("source",),
)  # fmt: skip
REPORT_STATE: Final = Metric(
    "rollcall_report_state", "gauge", "0 or 1",
    "1: a report that is owed and not finished, in this state: `open`, `draft`, `approved`, `submitted`, "
    "`acknowledged` or `rejected`.",
    ("agreement", "month", "state"),
)  # fmt: skip
REPORT_DAYS_LEFT: Final = Metric(
    "rollcall_report_due_days", "gauge", "days",
    "Days until an owed report is due, in its programme's zone: 0 is the due day, below 0 it is overdue. Not for what "
    "was sent.",
    ("agreement", "month"),
)  # fmt: skip

MONTHS: Final = (
    PART_UP, GROUP_LAG, GROUP_MEMBERS, ACTIVE_USERS, QUARANTINED, CAP_TRIPPED, SOURCE_SILENT, SOURCE_REFUSED,
    REPORT_STATE, REPORT_DAYS_LEFT,
)  # fmt: skip
