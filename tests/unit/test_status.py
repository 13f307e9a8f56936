"""What status and exporter make of what was read."""

from __future__ import annotations

from datetime import UTC, date, datetime

from infra.errors import OutOfReach
from infra.metrics import definitions as metrics
from schemas.source_declared import DeclaredSource
from stream_jobs.quarantine.caps import Tripped
from stream_jobs.status.exporter import samples_of
from stream_jobs.status.log import LogState
from stream_jobs.status.picture import Picture
from stream_jobs.status.reports import ReportDue
from stream_jobs.status.sources import SourceState, silent_seconds
from stream_jobs.status.store import SetAside, SkuCount, StoreState

NOW = datetime(2026, 11, 9, tzinfo=UTC)
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
LOG = LogState(at=100.0, ends={0: 50, 1: 9, 2: 7}, starts={0: 0, 1: 4, 2: 7}, committed={0: 20}, members=0)


def picture(**parts: object) -> Picture:
    store = StoreState(
        1, None, None, None, [SkuCount(OCTOBER, "A", "", 1, 3), SkuCount(NOVEMBER, "A", "", 1, 5)],
        [SetAside("not_json", 1, 4)], [Tripped("/bad", 1, 10, 9)],
        [SourceState("/a", "push", True, 7200, NOW, None, None, None, None, None, "")],
    )  # fmt: skip
    reports = [
        ReportDue("csp", OCTOBER, "draft", date(2026, 11, 10), 1, ""),
        ReportDue("csp", date(2026, 9, 1), "submitted", date(2026, 10, 10), None, "a receipt"),
    ]
    whole = {"log": LOG, "store": store, "reports": reports}
    return Picture(at=NOW, workers=[], rates=None, **(whole | parts))  # type: ignore[arg-type]


def test_lag_counts_from_the_commit_or_from_the_log_s_start() -> None:
    assert LOG.lag == {0: 30, 1: 5, 2: 0}


def test_rates_are_what_came_and_what_was_committed() -> None:
    later = LogState(at=102.0, ends={0: 70, 1: 9, 2: 7, 3: 5}, starts={}, committed={0: 60, 1: 9}, members=1)
    assert later.rates(LOG) == (10.0, 20.0), "a new partition, and one without a commit before, do not count"


def test_the_exporter_shows_every_part() -> None:
    found = samples_of(picture())
    assert found.keys() == set(metrics.MONTHS)
    assert found[metrics.GROUP_LAG] == {("0",): 30, ("1",): 5, ("2",): 0}
    assert found[metrics.ACTIVE_USERS] == {("A",): 5}, "of two months at their turn, the newer"
    assert found[metrics.CAP_TRIPPED] == {("/bad",): 1}
    assert found[metrics.SOURCE_SILENT] == {("/a",): 1}
    assert found[metrics.REPORT_STATE] == {("csp", "2026-10", "draft"): 1, ("csp", "2026-09", "submitted"): 1}
    assert found[metrics.REPORT_DAYS_LEFT] == {("csp", "2026-10"): 1}


def test_a_part_that_cannot_be_read_takes_nothing_else_along() -> None:
    found = samples_of(picture(store=OutOfReach("away"), reports=OutOfReach("away")))
    assert found[metrics.PART_UP] == {("log",): 1.0, ("store",): 0.0, ("reports",): 0.0}
    assert found.keys() == {metrics.PART_UP, metrics.GROUP_LAG, metrics.GROUP_MEMBERS}


def test_only_expected_hours_are_silence() -> None:
    """Monday 2026-11-09, 00:00 UTC is nine in Tokyo: an hour of that day, and Friday's last two."""
    declared = DeclaredSource.model_validate({"source": "/a", "kind": "push", "rhythm": {
        "silent_after": "2h", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "20:00",
        "zone": "Asia/Tokyo",
    }})  # fmt: skip
    assert silent_seconds(declared, datetime(2026, 11, 6, 8, tzinfo=UTC), NOW) == 3 * 3600
    assert silent_seconds(declared, NOW, NOW) == 0
    young = declared.model_copy(update={"valid_from": date(2026, 11, 6)})
    assert silent_seconds(young, None, NOW) == 12 * 3600
    assert silent_seconds(declared.model_copy(update={"rhythm": None}), None, NOW) is None
