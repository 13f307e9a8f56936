"""Writes the metrics tables of docs/observability.md: `python -m infra.metrics.document` (a test tells when stale)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from infra.metrics.definitions import GATEWAYS, MONTHS, WORKERS, Metric

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
TABLES = {"worker": WORKERS, "gateway": GATEWAYS, "month": MONTHS}


def written(page: str) -> str:
    """The page with its tables made anew; what stands between a table's two marks is replaced."""
    for name, metrics in TABLES.items():
        begin, end = f"<!-- metrics: {name} -->\n", f"<!-- end of metrics: {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"the page has not one place for the table {name!r}")
        before, _, rest = page.partition(begin)
        page = before + begin + table(metrics) + end + rest.partition(end)[2]
    return page


def table(metrics: Iterable[Metric]) -> str:
    lines = ["| metric | kind | unit | labels | meaning |", "| --- | --- | --- | --- | --- |"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{shown(metric)}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"


def shown(metric: Metric) -> str:
    """The name as it is asked for in Prometheus, where that is another; a histogram's has `_bucket` … behind."""
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.kind, "")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
