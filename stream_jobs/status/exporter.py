"""What no worker knows, as metrics: the group's lag, the month, the quarantine, the reports and their deadlines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from infra.errors import RollcallError
from infra.metrics import definitions as metrics
from infra.metrics.instruments import gauge_family
from schemas.calendar import month_name
from schemas.settings import Settings
from stream_jobs.status.picture import Picture, Watcher


class MonthCollector(Collector):
    """Looks when it is asked; one look at a time."""

    def __init__(self, settings: Settings) -> None:
        self._watcher, self._lock = Watcher(settings), Lock()

    def collect(self) -> Iterator[Family]:
        with self._lock:
            picture = self._watcher.look()
        for metric, samples in samples_of(picture).items():
            yield gauge_family(metric, samples)

    def describe(self) -> list[Family]:
        """Nothing, so that being registered asks nobody."""
        return []


def registry(settings: Settings) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(MonthCollector(settings))
    return made


def samples_of(picture: Picture) -> dict[metrics.Metric, Mapping[tuple[str, ...], float]]:
    """The values of every metric in `MONTHS`, by their labels; a part that could not be read has none."""
    parts = {"log": picture.log, "store": picture.store, "reports": picture.reports}
    found: dict[metrics.Metric, Mapping[tuple[str, ...], float]] = {
        metrics.PART_UP: {(name,): float(not isinstance(part, RollcallError)) for name, part in parts.items()}
    }
    if not isinstance(log := picture.log, RollcallError):
        found[metrics.GROUP_LAG] = {(str(p),): lag for p, lag in sorted(log.lag.items())}
        found[metrics.GROUP_MEMBERS] = {(): log.members}
    if not isinstance(store := picture.store, RollcallError):
        users: dict[tuple[str, ...], float] = {}
        for row in store.month:  # around the turn of a month zones differ, and a SKU may have two
            users[row.sku,] = row.active_users
        found[metrics.ACTIVE_USERS] = users
        found[metrics.QUARANTINED] = {(row.reason,): row.events for row in store.quarantine}
        found[metrics.CAP_TRIPPED] = {(trip.source,): 1 for trip in store.tripped[: metrics.SOURCES]}
        refusing = sorted(store.sources, key=lambda source: -source.refused)[: metrics.SOURCES]
        found[metrics.SOURCE_REFUSED] = {(s.source,): s.refused for s in refusing}
        rhythmic = [source for source in store.sources if source.silent_seconds is not None]  # silent ones first
        found[metrics.SOURCE_SILENT] = {(s.source,): float(s.silent) for s in rhythmic[: metrics.SOURCES]}
    if not isinstance(reports := picture.reports, RollcallError):
        found[metrics.REPORT_STATE] = {(r.agreement, month_name(r.month), r.state): 1 for r in reports}
        found[metrics.REPORT_DAYS_LEFT] = {
            (r.agreement, month_name(r.month)): r.days for r in reports if r.days is not None
        }
    return found
