"""From definitions to prometheus_client: every metric of a process, in a registry of its own (not the global one)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import GaugeMetricFamily

from infra.metrics.definitions import Metric

disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge beside each counter, which nobody asks for


class Instruments:
    """The metrics, by their definitions. Use from any thread; each call costs about a microsecond."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # CPU seconds, memory, open files
        self._counters = {
            m: Counter(m.name, m.meaning, m.labels, registry=registry) for m in metrics if m.kind == "counter"
        }
        self._gauges = {m: Gauge(m.name, m.meaning, m.labels, registry=registry) for m in metrics if m.kind == "gauge"}
        self._histograms = {
            m: Histogram(m.name, m.meaning, m.labels, registry=registry, buckets=m.buckets)
            for m in metrics if m.kind == "histogram"
        }  # fmt: skip
        self._infos = {m: Info(m.name, m.meaning, registry=registry) for m in metrics if m.kind == "info"}

    def count(self, metric: Metric, by: float = 1, *labels: str) -> None:
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(by)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        histogram = self._histograms[metric]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    def set(self, metric: Metric, value: float) -> None:
        self._gauges[metric].set(value)

    def set_function(self, metric: Metric, value: Callable[[], float]) -> None:
        """A gauge without labels that asks when it is asked, from the asker's thread."""
        self._gauges[metric].set_function(value)

    def set_all(self, metric: Metric, values: Mapping[str, float]) -> None:
        """Exactly these values of a gauge with one label; others that it had are gone."""
        gauge = self._gauges[metric]
        for family in gauge.collect():
            for sample in family.samples:
                [label] = sample.labels.values()
                if label not in values:
                    gauge.remove(label)
        for label, value in values.items():
            gauge.labels(label).set(value)

    def inform(self, metric: Metric, facts: Mapping[str, str]) -> None:
        self._infos[metric].info({name: facts[name] for name in metric.labels})


def gauge_family(metric: Metric, samples: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    """A gauge by the values of its labels, for a collector that asks when it is asked."""
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family
