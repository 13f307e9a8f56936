"""The close: what is owed and when, what is sealed, what blocks, what was sent."""

from __future__ import annotations

from typing import Final

from infra.grafana.month import MONTH_CHOICE, OF_MONTH
from infra.grafana.panels import Dashboard, Limits, Promql, Sql, bars, stat, table

CLOSE: Final = Dashboard(
    "rollcall-close", "Rollcall: close", "Reports: deadlines, states, seals, findings, submissions.",
    (
        stat(
            "Days to the next deadline", "Of what is owed and not sent; below 0 it is overdue. Empty: nothing is owed.",
            Promql("min(rollcall_report_due_days)"), limits=Limits(5, 2, falling=True),
        ),
        stat(
            "Owed", "Reports that are not finished.", Promql("count(rollcall_report_state == 1)"),
        ),
        stat(
            "Active users sealed", "In the newest seals of the month.",
            Sql(f"SELECT sum(active_users) AS active_users\nFROM closes\nWHERE newest AND {OF_MONTH}"),
        ),
        stat(
            "Reported", "In the revisions in force.",
            Sql(f"SELECT sum(reported) AS reported\nFROM report_states\nWHERE in_force AND {OF_MONTH}"),
        ),
        stat(
            "Blocking findings", "Not waived, in the revisions in force.",
            Sql(f"SELECT sum(blocking) AS blocking\nFROM report_states\nWHERE in_force AND {OF_MONTH}"),
            limits=Limits(1, 1),
        ),
        stat(
            "Unknown submissions", "They may have arrived: `rollcall report resolve`.",
            Sql("SELECT countIf(outcome = 'unknown') AS attempts\nFROM submissions"), limits=Limits(1, 1),
        ),
        table(
            "Reports", "Each month's revision in force.",
            "SELECT month, agreement, revision, state, due, measured, reported, blocking, approved_by, submitted_at\n"
            "FROM report_states\nWHERE in_force\nORDER BY month DESC, agreement\nLIMIT 100",
            width=24,
        ),
        table(
            "Seals", "Every revision of the month; `rollcall verify` recomputes the digest.",
            "SELECT agreement, revision, active_users, sealed_at, newest, close_number, digest\nFROM closes\n"
            f"WHERE {OF_MONTH}\nORDER BY agreement, revision",
        ),
        table(
            "Findings", "Of each revision's newest draft.",
            "SELECT agreement, revision, severity, finding, text, waived_by\nFROM report_findings\n"
            f"WHERE {OF_MONTH}\nORDER BY waived_by != '', severity, agreement, revision, finding",
        ),
        bars(
            "Reported by family", "In the revisions in force.",
            "SELECT l.family AS family, sum(l.reported) AS reported\nFROM report_lines AS l\n"
            "INNER JOIN report_states AS s USING (agreement, month, revision)\n"
            "WHERE s.in_force AND l.month = toDate('${month}-01')\nGROUP BY family\nORDER BY reported DESC",
        ),
        table(
            "Late or changed since the seal", "What is counted now, less what the newest seals have.",
            "SELECT month, sum(live) AS counted_now, sum(kept) AS sealed, counted_now - sealed AS difference\n"
            "FROM\n(\n"
            "    SELECT month, toInt64(active_users) AS live, 0 AS kept\n    FROM active_users_by_month\n"
            "    WHERE month BETWEEN addMonths(toDate('${month}-01'), -11) AND toDate('${month}-01')\n"
            "    UNION ALL\n"
            "    SELECT month, 0 AS live, toInt64(active_users) AS kept\n    FROM closes\n"
            "    WHERE newest AND month BETWEEN addMonths(toDate('${month}-01'), -11) AND toDate('${month}-01')\n"
            ")\nGROUP BY month\nORDER BY month DESC",
        ),
        table(
            "Submissions", "Every attempt.",
            "SELECT begun_at, month, agreement, revision, attempt, transport, target, outcome, note\nFROM submissions\n"
            "ORDER BY begun_at DESC\nLIMIT 100",
        ),
        table(
            "Other counts", "Differences between what others counted and the seals.",
            "SELECT origin, tenant, sku, theirs, ours, difference\nFROM reconciliations\n"
            f"WHERE {OF_MONTH} AND difference != 0\nORDER BY abs(difference) DESC\nLIMIT 100",
        ),
        table(
            "Who did what", "The ledger of the month.",
            "SELECT at, agreement, actor, action, revision, reason, text\nFROM report_history\n"
            f"WHERE {OF_MONTH}\nORDER BY at DESC\nLIMIT 200",
        ),
        table(
            "Rebuilds", "Months that were read again from the log.",
            "SELECT generation, month, catalogue_version, reason, actor, in_force_at, in_force\nFROM rebuilds\n"
            "ORDER BY generation DESC\nLIMIT 100",
        ),
    ),
    (MONTH_CHOICE,),
)  # fmt: skip
