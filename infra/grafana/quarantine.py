"""Quarantine and sources: what is set aside, from which broker, why, and how near the cap is."""

from __future__ import annotations

from typing import Final

from infra.grafana.month import MONTH_CHOICE, OF_MONTH
from infra.grafana.panels import Dashboard, Limits, Promql, Sql, bars, series, stat, table

_WAITING: Final = f"{OF_MONTH} AND state = 'quarantined'"

QUARANTINE: Final = Dashboard(
    "rollcall-quarantine", "Rollcall: quarantine and sources", "Events that were set aside, and who sent them.",
    (
        stat(
            "Waiting", "Events of the month that somebody must decide about.",
            Sql(f"SELECT sum(events) AS events\nFROM quarantine_by_reason\nWHERE {_WAITING}"), limits=Limits(1, 1_000),
        ),
        stat(
            "Sources with some", "",
            Sql(f"SELECT uniqExact(source) AS sources\nFROM quarantine_by_reason\nWHERE {_WAITING}"),
        ),
        stat(
            "Sources that stopped the workers", "`rollcall quarantine lift SOURCE` when it is mended.",
            Promql("count(rollcall_cap_tripped == 1) or on () 0 * max(rollcall_up)"), limits=Limits(1, 1),
        ),
        stat(
            "Set aside", "Share of all events, in the last half hour.",
            Promql(
                'sum(rate(rollcall_events_total{result="quarantined"}[30m])) / sum(rate(rollcall_events_total[30m]))'
            ),
            "percentunit", Limits(0.02, 0.2),
        ),
        series(
            "Worst sources", "Share of their newest events that is bad, beside what stops the workers.",
            Promql('max by (source) (rollcall_quarantine_ratio{source!="unknown"})', "{{source}}"),
            Promql("min(rollcall_quarantine_limit_ratio)", "limit"), unit="percentunit",
        ),
        series(
            "Set aside by reason", "Events a second.",
            Promql(
                'sum by (reason) (rate(rollcall_events_total{result="quarantined"}[$__rate_interval]))', "{{reason}}"
            ),
            unit="ops", stacked=True,
        ),
        series(
            "Gateways: events", "By what became of them: in Kafka, in the spool until Kafka takes them, refused.",
            Promql("sum by (result) (rate(rollcall_gateway_events_total[$__rate_interval]))", "{{result}}"),
            unit="ops", stacked=True,
        ),
        series(
            "Gateways: what waits for Kafka", "In the spools, beside what they hold.",
            Promql("rollcall_gateway_spool_bytes", "{{instance}}"),
            Promql("rollcall_gateway_spool_limit_bytes", "limit of {{instance}}"), unit="bytes",
        ),
        series(
            "Gateways: answers", "By status.",
            Promql("sum by (status) (rate(rollcall_gateway_requests_total[$__rate_interval]))", "{{status}}"),
            unit="reqps", stacked=True,
        ),
        series(
            "Gateways: time to answer", "99 of 100 requests.",
            Promql(
                "histogram_quantile(0.99, "
                "sum by (le) (rate(rollcall_gateway_request_seconds_bucket[$__rate_interval])))", "99 of 100",
            ),
            unit="s",
        ),
        table(
            "Waiting, by source and reason", "",
            "SELECT source, reason, sum(events) AS events\nFROM quarantine_by_reason\n"
            f"WHERE {_WAITING}\nGROUP BY source, reason\nORDER BY events DESC, source, reason\nLIMIT 100",
        ),
        table(
            "What became of a source's events", "By state.",
            "SELECT source,\n"
            "    sumIf(events, state = 'quarantined') AS waiting, sumIf(events, state = 'waived') AS waived,\n"
            "    sumIf(events, state = 'replayed') AS replayed, sumIf(events, state = 'counted') AS counted\n"
            f"FROM quarantine_by_reason\nWHERE {OF_MONTH}\nGROUP BY source\n"
            "ORDER BY waiting DESC, source\nLIMIT 100",
        ),
        table(
            "Silent sources", "Those with a rhythm first; nights and weekends are in the hours.",
            "SELECT source, kind, last_event, round(gap_seconds / 3600, 1) AS silent_hours,\n"
            "    round(silent_after / 3600, 1) AS allowed_hours, last_report, complete_to, refused,\n    error\n"
            "FROM sources\nORDER BY silent_after = 0, gap_seconds DESC NULLS FIRST, source\nLIMIT 100",
        ),
        bars(
            "Waiting, by month", "Twelve months: what is left of a closed month is a finding of its report.",
            "SELECT formatDateTime(month, '%Y-%m') AS month_name, sum(events) AS events\nFROM quarantine_by_reason\n"
            "WHERE month BETWEEN addMonths(toDate('${month}-01'), -11) AND toDate('${month}-01')\n"
            "    AND state = 'quarantined'\n"
            "GROUP BY month\nORDER BY month",
        ),
        table(
            "Where each customer's month began", "The first login, and the broker that sent it.",
            "SELECT first_source, count() AS tenants_and_skus, min(first_login) AS first_login,\n"
            f"    max(last_active_day) AS last_active_day\nFROM login_span\nWHERE {OF_MONTH}\n"
            "GROUP BY first_source\nORDER BY last_active_day, first_source\nLIMIT 100",
        ),
    ),
    (MONTH_CHOICE,),
)  # fmt: skip
