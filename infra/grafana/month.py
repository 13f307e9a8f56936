"""The month: active users by day, SKU and customer, this month and before."""

from __future__ import annotations

from typing import Final

from infra.grafana.panels import Dashboard, Promql, Sql, Variable, bars, series, stat, table

MONTHS_BACK: Final = 24
MONTH_CHOICE: Final = Variable(
    "month",
    "SELECT formatDateTime(addMonths(toStartOfMonth(today()), -arrayJoin(range("
    f"{MONTHS_BACK}))), '%Y-%m') AS month",
)
OF_MONTH: Final = "month = toDate('${month}-01')"
_CHOSEN: Final = f"{OF_MONTH} AND $__conditionalAll(tenant IN (${{tenant:singlequote}}), $tenant)"

MONTH: Final = Dashboard(
    "rollcall-month", "Rollcall: month", "Active users: the numbers that are reported, as they stand now.",
    (
        stat(
            "Active users", "Summed over tenants and SKUs: a person who uses two SKUs is in it twice.",
            Sql(f"SELECT sum(active_users) AS active_users\nFROM active_users_by_month\nWHERE {_CHOSEN}"),
        ),
        stat(
            "Tenants", "With at least one active user.",
            Sql(f"SELECT uniqExact(tenant) AS tenants\nFROM active_users_by_month\nWHERE {_CHOSEN}"),
        ),
        stat(
            "SKUs", "With at least one active user.",
            Sql(f"SELECT uniqExact(sku) AS skus\nFROM active_users_by_month\nWHERE {_CHOSEN}"),
        ),
        stat(
            "Last active day", "In the programmes' time zones.",
            Sql(f"SELECT toString(max(last_active_day)) AS day\nFROM login_span\nWHERE {_CHOSEN}"),
        ),
        series(
            "Active users by day", "Days do not add up to the month. Follows the time range, not the month above.",
            Sql(
                "SELECT toDateTime(day) AS time, sku, sum(active_users) AS active_users\nFROM active_users_by_day\n"
                "WHERE month >= toStartOfMonth($__fromTime) AND $__timeFilter(day) "
                "AND $__conditionalAll(tenant IN (${tenant:singlequote}), $tenant)\n"
                "GROUP BY time, sku\nORDER BY time, sku"
            ),
        ),
        series(
            "The current month so far", "All tenants, as Prometheus has seen it grow.",
            Promql("max by (sku) (rollcall_active_users)", "{{sku}}"),
        ),
        table(
            "By SKU", "",
            "SELECT sku, sum(active_users) AS active_users, count() AS tenants\nFROM active_users_by_month\n"
            f"WHERE {_CHOSEN}\nGROUP BY sku\nORDER BY active_users DESC",
        ),
        table(
            "By tenant", "The hundred largest, with what they had a month before.",
            "SELECT tenant, sumIf(active_users, month = toDate('${month}-01')) AS this_month,\n"
            "    sumIf(active_users, month < toDate('${month}-01')) AS month_before\nFROM active_users_by_month\n"
            "WHERE month BETWEEN addMonths(toDate('${month}-01'), -1) AND toDate('${month}-01')\n"
            "    AND $__conditionalAll(tenant IN (${tenant:singlequote}), $tenant)\n"
            "GROUP BY tenant\nORDER BY this_month DESC, tenant\nLIMIT 100",
        ),
        bars(
            "Twelve months", "Summed over tenants and SKUs.",
            "SELECT formatDateTime(month, '%Y-%m') AS month_name, sum(active_users) AS active_users\n"
            "FROM active_users_by_month\n"
            "WHERE month BETWEEN addMonths(toDate('${month}-01'), -11) AND toDate('${month}-01')\n"
            "    AND $__conditionalAll(tenant IN (${tenant:singlequote}), $tenant)\n"
            "GROUP BY month\nORDER BY month",
        ),
        table(
            "Quiet tenants", "No login for seven days of the month, though there was one before: a source may be down.",
            "SELECT tenant, sku, first_source, last_active_day\nFROM login_span\n"
            f"WHERE {_CHOSEN} AND last_active_day < least(today(), toLastDayOfMonth(month)) - 7\n"
            "ORDER BY last_active_day, tenant, sku\nLIMIT 100",
        ),
        table(
            "The current month by family", "With the catalogue's names.",
            "SELECT family, sku_name, sum(active_users) AS active_users, uniqExact(tenant) AS tenants\n"
            "FROM running_estimate\nWHERE $__conditionalAll(tenant IN (${tenant:singlequote}), $tenant)\n"
            "GROUP BY family, sku_name\nORDER BY active_users DESC",
            width=24,
        ),
    ),
    (
        MONTH_CHOICE,
        Variable("tenant", f"SELECT DISTINCT tenant FROM active_users_by_month WHERE {OF_MONTH} ORDER BY tenant", True),
    ),
    since="now-30d",
)  # fmt: skip
