"""The dashboards: fresh, whole, and asking only for what is exported. tests/integration runs what they ask."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.grafana.__main__ import FOLDER, files
from tests.panels import Asked, loaded, promql, sql
from tests.promql import selectors
from tests.unit.test_alerts import exported

ROOT = Path(__file__).parents[2]
VIEWS = {path.stem for path in (ROOT / "infra" / "clickhouse" / "views").glob("*.sql")}


def test_the_files_are_fresh() -> None:
    assert {path: path.read_text("utf-8") for path in FOLDER.glob("*")} == files(), "stale: `python -m infra.grafana`"


@pytest.mark.parametrize("dashboard", loaded(), ids=lambda dashboard: dashboard["uid"])
def test_panels_stand_side_by_side_and_say_what_they_are(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)
    chosen = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", str([dashboard["panels"], dashboard["templating"]])))
    assert used == chosen


@pytest.mark.parametrize("asked", list(promql()), ids=str)
def test_a_panel_asks_prometheus_for_what_is_exported(asked: Asked) -> None:
    names = exported()
    for selector in selectors(asked.query):
        assert selector.name in names, f"nobody exports {selector.name}"
        assert {matcher.name for matcher in selector.matchers.matchers} <= names[selector.name]
    named = [labels for by in re.findall(r"(?:by|on) \(([^)]*)\)", asked.query) for labels in by.split(", ") if labels]
    known = set().union(*(names[selector.name] for selector in selectors(asked.query)))
    assert set(named) <= known


@pytest.mark.parametrize("asked", list(sql()), ids=str)
def test_a_panel_s_sql_reads_documented_views_only(asked: Asked) -> None:
    assert set(re.findall(r"(?:FROM|JOIN) (\w+)", asked.query)) <= VIEWS
    assert "*" not in asked.query
    assert "rollcall." not in asked.query


def test_every_metric_is_in_a_panel_or_an_alert() -> None:
    """One that nobody looks at is in this list, with the reason."""
    unwatched = {
        "rollcall_last_progress_timestamp_seconds",  # rollcall_stuck is judged from it
        "rollcall_worker_info",  # a version is looked up when needed
        "rollcall_gateway_info",
        "rollcall_gateway_kafka",  # the spool's age tells
        "rollcall_gateway_waiting_bytes",  # requests are refused with 503 above its bound: in the answers
        "rollcall_gateway_connections",
        "rollcall_assigned_partitions",  # a worker without any stands by; lag tells what is not read
    }
    rules = (ROOT / "infra" / "prometheus" / "alerts.yaml").read_text("utf-8")
    texts = [asked.query for asked in promql()] + [rule["expr"] for group in yaml.safe_load(rules)["groups"]
                                                   for rule in group["rules"]]  # fmt: skip
    asked = {str(selector.name) for text in texts for selector in selectors(text)}
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    missing = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported()} - stems
    assert {name for name in missing if name.startswith("rollcall_")} <= unwatched
