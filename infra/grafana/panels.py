"""Panels and dashboards as values, and the JSON that Grafana (11 or newer) reads.

Queries go to two data sources, chosen at the top of each dashboard: Prometheus, and ClickHouse through the plugin
`grafana-clickhouse-datasource`. SQL names views without a database: the data source's default database is Rollcall's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["stat", "timeseries", "table", "barchart"]

PROMETHEUS: Final = {"type": "prometheus", "uid": "${prometheus}"}
CLICKHOUSE: Final = {"type": "grafana-clickhouse-datasource", "uid": "${clickhouse}"}
COLUMNS: Final = 24
_SIZES: Final[dict[Kind, tuple[int, int]]] = {
    "stat": (4, 4), "timeseries": (12, 8), "table": (12, 9), "barchart": (12, 8),
}  # fmt: skip
_OVER_TIME, _TABLE = 0, 1
"""What the ClickHouse plugin makes of an answer."""


@dataclass(frozen=True)
class Promql:
    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Sql:
    text: str


@dataclass(frozen=True)
class Limits:
    """A value from `warning` on is yellow, from `critical` on red; `falling`: up to them."""

    warning: float
    critical: float
    falling: bool = False


@dataclass(frozen=True)
class Panel:
    """`unit` is one of Grafana's: s, percentunit, bytes, ops, short … `what` is shown when one asks the panel."""

    kind: Kind
    title: str
    what: str
    queries: tuple[Promql | Sql, ...]
    unit: str = "short"
    limits: Limits | None = None
    stacked: bool = False
    width: int = 0


@dataclass(frozen=True)
class Variable:
    """A choice at the top: the first column of a query. `several`: more than one may be chosen, or all."""

    name: str
    query: str
    several: bool = False


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    what: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    since: str = "now-6h"


def stat(title: str, what: str, query: Promql | Sql, unit: str = "short", limits: Limits | None = None) -> Panel:
    return Panel("stat", title, what, (query,), unit, limits)


def series(
    title: str, what: str, *queries: Promql | Sql, unit: str = "short", stacked: bool = False, width: int = 0
) -> Panel:
    return Panel("timeseries", title, what, queries, unit, stacked=stacked, width=width)


def table(title: str, what: str, text: str, width: int = 0) -> Panel:
    return Panel("table", title, what, (Sql(text),), width=width)


def bars(title: str, what: str, text: str, width: int = 0) -> Panel:
    return Panel("barchart", title, what, (Sql(text),), width=width)


def model(dashboard: Dashboard) -> dict[str, Any]:
    """Grafana's dashboard model, the panels laid out in rows from left to right."""
    return {
        "uid": dashboard.uid, "title": dashboard.title, "description": dashboard.what, "tags": ["rollcall"],
        "schemaVersion": 41, "version": 1, "editable": True, "graphTooltip": 1, "timezone": "", "refresh": "1m",
        "time": {"from": dashboard.since, "to": "now"}, "annotations": {"list": []},
        "links": [{
            "type": "dashboards", "title": "Rollcall", "tags": ["rollcall"], "asDropdown": True, "keepTime": True,
            "includeVars": True, "icon": "external link", "url": "", "tooltip": "", "targetBlank": False,
        }],
        "templating": {"list": [
            _source_variable("prometheus", "Prometheus", "prometheus"),
            _source_variable("clickhouse", "ClickHouse", CLICKHOUSE["type"]),
            *map(_variable, dashboard.variables),
        ]},
        "panels": list(_placed(dashboard.panels)),
    }  # fmt: skip


def _placed(panels: Iterable[Panel]) -> Iterable[dict[str, Any]]:
    x = y = row = 0
    for number, panel in enumerate(panels, 1):
        width, height = panel.width or _SIZES[panel.kind][0], _SIZES[panel.kind][1]
        if x + width > COLUMNS:
            x, y, row = 0, y + row, 0
        yield _panel(panel, number) | {"gridPos": {"x": x, "y": y, "w": width, "h": height}}
        x, row = x + width, max(row, height)


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": _thresholds(panel.limits)}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        defaults["custom"] = {"fillOpacity": 20 if panel.stacked else 0, "stacking": stacking, "showPoints": "auto"}
        defaults["min"] = 0
    options: dict[str, dict[str, Any]] = {
        "stat": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value" if panel.limits else "none", "graphMode": "none", "textMode": "auto",
        },
        "timeseries": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "table": {"showHeader": True, "cellHeight": "sm"},
        "barchart": {
            "orientation": "auto", "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
        },
    }  # fmt: skip
    [source] = {id(s): s for s in map(_source, panel.queries)}.values()
    return {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.what, "datasource": source,
        "targets": [_target(panel, query, chr(ord("A") + n)) for n, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options[panel.kind],
    }  # fmt: skip


def _source(query: Promql | Sql) -> dict[str, str]:
    return PROMETHEUS if isinstance(query, Promql) else CLICKHOUSE


def _target(panel: Panel, query: Promql | Sql, letter: str) -> dict[str, Any]:
    if isinstance(query, Promql):
        return {
            "refId": letter, "datasource": PROMETHEUS, "editorMode": "code", "expr": query.expression,
            "legendFormat": query.legend or "__auto", "instant": panel.kind == "stat", "range": panel.kind != "stat",
        }  # fmt: skip
    over_time = panel.kind == "timeseries"
    return {
        "refId": letter, "datasource": CLICKHOUSE, "editorType": "sql", "rawSql": query.text,
        "queryType": "timeseries" if over_time else "table", "format": _OVER_TIME if over_time else _TABLE,
    }  # fmt: skip


def _thresholds(limits: Limits | None) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if limits and limits.falling:
        # Grafana's steps begin at a value; whole numbers, so that "up to n" begins to end at n + 1.
        steps = [
            {"color": "red", "value": None}, {"color": "yellow", "value": limits.critical + 1},
            {"color": "green", "value": limits.warning + 1},
        ]  # fmt: skip
    elif limits:
        steps += [{"color": "yellow", "value": limits.warning}, {"color": "red", "value": limits.critical}]
    return {"mode": "absolute", "steps": steps}


def _source_variable(name: str, label: str, plugin: str) -> dict[str, Any]:
    return {"name": name, "label": label, "type": "datasource", "query": plugin, "refresh": 1, "current": {}}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name, "label": variable.name, "type": "query", "datasource": CLICKHOUSE,
        "query": variable.query, "definition": variable.query, "refresh": 2, "sort": 0,
        "multi": variable.several, "includeAll": variable.several,
        "current": {"text": ["All"], "value": ["$__all"]} if variable.several else {},
    }  # fmt: skip
