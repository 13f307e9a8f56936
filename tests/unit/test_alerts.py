"""The alert rules: only metrics that exist, each shown to fire on a planted fault and to keep quiet beside it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.metrics.definitions import GATEWAYS, MONTHS, WORKERS
from infra.metrics.document import shown
from tests.promql import Rule, Series, Vector, expanded, labels_of, run_rules, selectors

FOLDER = Path(__file__).parents[2] / "infra" / "prometheus"
GROUPS = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
TESTS = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text("utf-8"))["tests"]
CHECKS = [check for test in TESTS for check in test["promql_expr_test"]]
ENTRIES = [entry for group in GROUPS for entry in group["rules"]]
SCRAPED = {"job", "instance"}
OTHERS = {"up": set[str](), "process_start_time_seconds": set[str](), "process_resident_memory_bytes": set[str](),
          "process_cpu_seconds_total": set[str]()}  # fmt: skip
"""What Prometheus itself and prometheus_client's process collector make."""


def exported() -> dict[str, set[str]]:
    """Labels by the name that Prometheus sees."""
    names = dict(OTHERS)
    for metric in (*WORKERS, *GATEWAYS, *MONTHS):
        if metric.kind == "histogram":
            names |= {f"{metric.name}_{part}": set(metric.labels) for part in ("sum", "count")}
            names[f"{metric.name}_bucket"] = {*metric.labels, "le"}
        else:
            names[shown(metric)] = set(metric.labels)
    return {name: labels | SCRAPED for name, labels in names.items()}


def seconds(text: str) -> float:
    return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([hms])", text))


def rule(entry: dict[str, Any]) -> Rule:
    return Rule(entry["alert"], entry["expr"], seconds(entry.get("for", "0s")), tuple(entry["labels"].items()))


def planted(test: dict[str, Any]) -> Series:
    series = Series()
    for each in test["input_series"]:
        for n, value in enumerate(expanded(each["values"])):
            if value is not None:
                series.add(labels_of(each["series"]), n * seconds(test["interval"]), value)
    return series


def wrong(test: dict[str, Any], entries: list[dict[str, Any]]) -> Iterator[str]:
    """What is not as the test says; its rules are evaluated once a minute, as promtool does."""
    asked = {name for check in test["promql_expr_test"] for name in re.findall(r"Rollcall\w+", check["expr"])}
    used = [rule(entry) for entry in entries if not asked or entry["alert"] in asked]
    series = planted(test)
    run_rules(series, used, 60.0, max(seconds(check["eval_time"]) for check in test["promql_expr_test"]))
    for check in test["promql_expr_test"]:
        at = seconds(check["eval_time"])
        # An alert that has ended leaves no sample behind: Prometheus marks it stale at once.
        now = Series({labels: [p for p in points if p[0] == at] for labels, points in series.points.items()})
        found: Vector = now.ask(check["expr"], at)
        if found != {labels_of(s["labels"]): float(s["value"]) for s in check["exp_samples"]}:
            yield f"{check['expr']} at {check['eval_time']}: {[sorted(labels) for labels in found]}"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["alert"])
def test_a_rule_asks_for_what_is_exported_and_says_the_cure(entry: dict[str, Any]) -> None:
    names = exported()
    for selector in selectors(entry["expr"]):
        assert selector.name in names, f"nobody exports {selector.name}"
        assert {m.name for m in selector.matchers.matchers} <= names[selector.name]
    assert entry["labels"].keys() == {"severity"}
    assert entry["labels"]["severity"] in ("critical", "warning")
    assert entry["annotations"].keys() == {"summary", "description"}
    assert len(entry["annotations"]["description"]) > 40
    mentioned = re.findall(r"\brollcall_\w+", entry["annotations"]["description"])
    assert {name for name in mentioned if name not in names and f"{name}_bucket" not in names} == set()


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test["name"])
def test_rules_fire_on_a_planted_fault_and_on_nothing_else(test: dict[str, Any]) -> None:
    assert list(wrong(test, ENTRIES)) == []


def test_every_rule_is_seen_to_fire_and_its_sentences_name_labels_that_it_has() -> None:
    labels: dict[str, set[str]] = {}
    for check in CHECKS:
        for sample in check["exp_samples"]:
            each = dict(labels_of(sample["labels"]))
            labels.setdefault(each["alertname"], set(each))
    assert labels.keys() == {entry["alert"] for entry in ENTRIES}
    for entry in ENTRIES:
        text = " ".join(entry["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels[entry["alert"]]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["alert"])
def test_a_rule_that_can_never_fire_is_found(entry: dict[str, Any]) -> None:
    deaf = [{**e, "expr": f"({e['expr']}) and on () vector_of_nothing"} if e is entry else e for e in ENTRIES]
    concerned = [test for test in TESTS if f'"{entry["alert"]}"' in str(test)]
    assert any(list(wrong(test, deaf)) for test in concerned)


def test_the_page_lists_them() -> None:
    """docs/observability.md has every alert with its severity, in their order."""
    page = (FOLDER.parents[1] / "docs" / "observability.md").read_text("utf-8")
    assert re.findall(r"\| `(Rollcall\w+)` \| (\w+) \|", page) == [
        (entry["alert"], entry["labels"]["severity"]) for entry in ENTRIES
    ]


def test_a_rule_that_always_fires_is_found() -> None:
    nervous = [{**ENTRIES[-1], "expr": "up >= 0"}]
    assert list(wrong(TESTS[0], nervous)) != []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_agrees() -> None:
    for arguments in (("check", "config", "prometheus.yaml"), ("test", "rules", "alerts.test.yaml")):
        done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
