"""What the dashboards' JSON asks, as Grafana and its ClickHouse plugin (4.x) would send it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from prometheus_client.parser import text_string_to_metric_families as families

from infra.metrics.definitions import MONTHS
from tests.promql import Series

INFRA = Path(__file__).parents[1] / "infra"
FOLDER, RULES = INFRA / "grafana" / "dashboards", INFRA / "prometheus" / "alerts.yaml"
ALL = "$__all"


class Asked(NamedTuple):
    dashboard: str
    panel: str
    query: str
    over_time: bool = False

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}"

    @property
    def of_the_month(self) -> bool:
        """What `rollcall metrics` exports, no worker."""
        return any(metric.name in self.query for metric in MONTHS)

    @property
    def of_a_gateway(self) -> bool:
        return "rollcall_gateway" in self.query


def loaded() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def promql() -> Iterator[Asked]:
    for dashboard, panel, target in _targets():
        if "expr" in target:
            query = target["expr"].replace("$__rate_interval", "1m")
            yield Asked(dashboard["uid"], panel["title"], query, panel["type"] == "timeseries")


def alerts() -> Iterator[Asked]:
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield Asked("alerts", rule["alert"], rule["expr"])


def unanswered(series: Series, time: float, about: Callable[[Asked], bool]) -> list[str]:
    """Panels and whole alert expressions that these series give no row; an alert's comparisons hold regardless."""
    eased = Series(series.points, regardless=True)
    asked = [(each, series) for each in promql()] + [(each, eased) for each in alerts()]
    return [str(each) for each, of in asked if about(each) and not of.ask(each.query, time)]


def sql() -> Iterator[Asked]:
    """The panels' and the variables', with macros."""
    for dashboard, panel, target in _targets():
        if "rawSql" in target:
            yield Asked(dashboard["uid"], panel["title"], target["rawSql"], target["format"] == 0)
    for dashboard in loaded():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield Asked(dashboard["uid"], f"variable {variable['name']}", variable["query"])


def _targets() -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    for dashboard in loaded():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield dashboard, panel, target


def filled(query: str, chosen: Mapping[str, str], since: datetime, until: datetime) -> str:
    """The SQL that is sent; raises where a variable or a macro stays that is not known."""

    def moment(at: datetime) -> str:
        return f"toDateTime({int(at.astimezone(UTC).timestamp())})"

    def unless_all(found: re.Match[str]) -> str:
        return "1=1" if chosen[found[2]] == ALL else found[1]

    steps: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r"\$__conditionalAll\((.*), \$(\w+)\)", unless_all),
        (r"\$\{(\w+):singlequote\}", lambda found: f"'{chosen[found[1]]}'"),
        (r"\$\{(\w+)\}", lambda found: chosen[found[1]]),
        (r"\$__timeFilter\((\w+)\)", rf"\1 >= {moment(since)} AND \1 <= {moment(until)}"),
        (r"\$__fromTime\b", moment(since)),
        (r"\$__toTime\b", moment(until)),
    ]
    for pattern, put in steps:
        query = re.sub(pattern, put, query)
    if "$" in query:
        raise NotImplementedError(query)
    return query


def scrape(series: Series, text: str, time: float, **labels: str) -> None:
    """What Prometheus keeps of an answer of /metrics, with the target's labels; that it answered, too."""
    series.add(frozenset({"__name__": "up", **labels}.items()), time, 1.0)
    for family in families(text):
        for sample in family.samples:
            series.add(frozenset({"__name__": sample.name, **sample.labels, **labels}.items()), time, sample.value)
