"""The metrics: documented as they are defined, counted as they happened, and readable by Prometheus's own parser."""

from __future__ import annotations

import re

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from infra.metrics import definitions
from infra.metrics.definitions import GATEWAYS, MEASURES, MONTHS, WORKERS, Metric
from infra.metrics.document import PAGE, written
from infra.metrics.instruments import Instruments
from schemas.quarantine import Origin, Refusal
from schemas.settings import Settings
from stream_jobs.dedup.batch import Batch, Partition
from stream_jobs.dedup.cap import Cap
from stream_jobs.dedup.fold import Folded, Refused
from stream_jobs.dedup.health import Health, Look
from stream_jobs.dedup.meters import Meters
from stream_jobs.dedup.rows import UNKNOWN_SOURCE


class Record:
    value, headers = b"", ()

    def __init__(self, offset: int, timestamp: int) -> None:
        self.offset, self.timestamp = offset, timestamp


def batch(records: int, appended: float) -> Batch:
    return Batch(Partition("logins", 0), [Record(n, int(appended * 1000) + n) for n in range(records)])


def refusal(reason: str, offset: int) -> Refused:
    return Refused(Origin("t", 0, offset, -1), 0, b"{}", (), Refusal(reason, "…"), None, 0)


def samples(meters: Meters) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and the values of its labels, sorted."""
    text = generate_latest(meters.registry).decode()
    return {(s.name, tuple(sorted(s.labels.values()))): s.value for family in parse(text) for s in family.samples}


def test_the_page_is_fresh() -> None:
    assert written(PAGE.read_text("utf-8")) == PAGE.read_text("utf-8"), "stale: `python -m infra.metrics.document`"


@pytest.mark.parametrize("metric", [*WORKERS, *GATEWAYS, *MONTHS], ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"rollcall(_[a-z]+)+", metric.name)
    assert not metric.name.endswith(("_total", "_info", "_count", "_sum", "_bucket"))
    assert metric.meaning.endswith(".")
    last = metric.name.rpartition("_")[2]
    assert last == metric.unit or (metric.unit not in MEASURES and last not in MEASURES)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert "tenant" not in metric.labels
    assert "subject" not in metric.labels


def test_every_definition_is_in_one_list() -> None:
    defined = {value.name for value in vars(definitions).values() if isinstance(value, Metric)}
    listed = [metric.name for metric in (*WORKERS, *GATEWAYS, *MONTHS)]
    assert defined == set(listed)
    assert len(listed) == len(set(listed))


def test_a_batch_is_counted_by_what_became_of_its_events() -> None:
    meters = Meters(now=lambda: 1_010.0)
    folded = Folded()
    folded.heard.update({"/a": {1: 80, 2: 10}, UNKNOWN_SOURCE: {1: 5}})
    folded.added = 25
    folded.refused = [refusal("not_json", 1), refusal("not_json", 2), refusal("unknown_sku", 3)]
    meters.stored(batch(7, appended=1_000.0), folded, rows=20)
    meters.stored(batch(1, appended=1_020.0), Folded(), rows=0)  # appended by a clock ahead of ours
    found = samples(meters)
    assert found["rollcall_events_total", ("", "counted")] == 95
    assert found["rollcall_events_total", ("not_json", "quarantined")] == 2
    assert found["rollcall_events_total", ("quarantined", "unknown_sku")] == 1
    assert found["rollcall_records_total", ()] == 8
    assert found["rollcall_rows_written_total", ()] == 20
    assert found["rollcall_rows_saved_total", ()] == 75
    assert found["rollcall_cache_hits_total", ()] == 70
    assert found["rollcall_batch_events_sum", ()] == 98
    assert found["rollcall_freshness_seconds_sum", ()] == 10.0
    assert found["rollcall_freshness_seconds_bucket", ("10.0",)] == 2
    assert found["rollcall_freshness_seconds_bucket", ("5.0",)] == 1


def test_a_step_that_fails_is_measured_too() -> None:
    meters = Meters()
    with pytest.raises(ValueError, match="no"), meters.timed("insert"):
        raise ValueError("no")
    assert samples(meters)["rollcall_step_seconds_count", ("insert",)] == 1


def test_lag_is_that_of_each_partition_whatever_others_do() -> None:
    clock = [1_000.0]
    meters, health = Meters(now=lambda: clock[0]), Health(60, 300)

    def lags(*looks: Look) -> list[float]:
        meters.looked(looks, health.judge(), 0.0, 1, 0, {})
        return [samples(meters)["rollcall_lag_seconds", (str(look.partition),)] for look in looks]

    never, other = Look(0, 0, 0, 1_000_000), Look(1, 10, 30, 30, oldest=990.0)
    assert lags(never, other) == [0.0, 10.0]
    clock[0] += 3_600
    assert lags(never, Look(1, 30, 30, 30)) == [3_600.0, 0.0], "it waits since it was first seen to"
    assert lags(Look(0, 5, 9, 1_000_000, oldest=500.0)) == [4_100.0]
    clock[0] += 5
    assert lags(Look(0, 9, 9, 1_000_000)) == [4_105.0], "between two polls of a backlog: as old as what was in hand"
    assert lags(Look(0, 9, 9, 9)) == [0.0]


def test_how_it_stands_shows_what_is_assigned_and_nothing_else() -> None:
    meters = Meters(now=lambda: 1_000.0)
    health = Health(60, 300)
    meters.introduce(Settings(), 3, "rollcall-g3", "host-0")
    hand, unread = Look(4, 10, 30, 30, oldest=940.0), Look(5, 10, 10, 15)
    meters.looked([hand, unread], health.judge(), 7.0, 1, 123, {"/bad": 0.5})
    meters.looked([unread], health.judge(), 7.0, 3, 124, {})
    found = samples(meters)
    assert found["rollcall_lag_records", ("5",)] == 5
    assert found["rollcall_lag_events", ("5",)] == 5
    assert found["rollcall_lag_seconds", ("5",)] == 0.0
    assert ("rollcall_lag_records", ("4",)) not in found, "it was taken away"
    assert not any(name == "rollcall_quarantine_ratio" for name, _ in found)
    assert found["rollcall_rebalances_total", ()] == 3
    assert found["rollcall_assigned_partitions", ()] == 1
    assert found["rollcall_cache_rows", ()] == 124
    assert found["rollcall_generation", ()] == 3
    assert found["rollcall_last_progress_timestamp_seconds", ()] == 993.0
    meters.looked([hand], health.judge(), 7.0, 3, 124, {})
    assert samples(meters)["rollcall_lag_seconds", ("4",)] == 60.0


def test_sources_are_bounded_and_the_worst_are_shown() -> None:
    cap = Cap(1.0, 1_000)
    few = Folded()
    few.refused = [refusal("not_json", 0)._replace(raw=b'{"source": "/few"}')] * 999  # too few to be judged by
    cap.judge(batch(1, 0.0), few)
    for number in range(100):
        folded = Folded()
        name = f"/source-{number:03}"
        folded.heard[name][0] = 1_000 - number
        refused = []
        for offset in range(number):
            raw = b'{"source": "%s"}' % name.encode()
            refused.append(refusal("not_json", offset)._replace(raw=raw))
        folded.refused = refused
        cap.judge(batch(1, 0.0), folded)
    ratios = cap.ratios(definitions.SOURCES)
    assert list(ratios) == [f"/source-{number:03}" for number in range(99, 99 - definitions.SOURCES, -1)]
    assert ratios["/source-099"] == pytest.approx(0.099)


def test_every_instrument_of_a_worker_can_be_asked_before_anything_happened() -> None:
    made = Instruments(WORKERS)
    names = {family.name for family in parse(generate_latest(made.registry).decode())}
    assert names >= {metric.name for metric in WORKERS}
