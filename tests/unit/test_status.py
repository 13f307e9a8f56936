"""What status and exporter make of what was read."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from console.status import exit_code, page
from infra.errors import OutOfReach
from infra.metrics import definitions as metrics
from schemas.source_declared import DeclaredSource
from stream_jobs.quarantine.caps import Tripped
from stream_jobs.status.exporter import samples_of
from stream_jobs.status.log import LogState
from stream_jobs.status.picture import Picture
from stream_jobs.status.reports import ReportDue
from stream_jobs.status.services import Service
from stream_jobs.status.sources import SourceState, silent_seconds
from stream_jobs.status.store import SetAside, SkuCount, StoreState
from stream_jobs.status.workers import WorkerHealth

NOW = datetime(2026, 11, 9, tzinfo=UTC)
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
LOG = LogState(at=100.0, ends={0: 50, 1: 9, 2: 7}, starts={0: 0, 1: 4, 2: 7}, committed={0: 20}, members=0)


def picture(**parts: object) -> Picture:
    store = StoreState(
        1, None, None, None, None, [SkuCount(OCTOBER, "A", "", 1, 3), SkuCount(NOVEMBER, "A", "", 1, 5)],
        [SetAside("not_json", 1, 4)], [Tripped("/bad", 1, 10, 9)],
        [SourceState("/a", "push", True, 7200, NOW, None, None, None, None, None, 2, "")],
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
    assert found[metrics.SOURCE_REFUSED] == {("/a",): 2}
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


WELL = [Service("Kafka", "answers", "k:1"), Service("ClickHouse", "answers", "c:1")]
STUCK = WorkerHealth(0, "w:1", False, True, [0, 2], 35, 90.0, ["nothing has moved for 90 s"])


def shown(found: list[Service], **parts: object) -> str:
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(page(replace(picture(), **parts), found))  # type: ignore[arg-type]
    return console.export_text()


def test_the_page_shows_every_part() -> None:
    store = picture().store
    assert isinstance(store, StoreState)
    stored = replace(store, newest=NOW, seconds_since_newest=3.0, seconds_since_stored=2.0, freshness=0.424)
    late = [ReportDue("csp", OCTOBER, "open", date(2026, 11, 8), -1, "a close")]
    text = shown(WELL, store=stored, workers=[STUCK], rates=(1_234.4, 987.6), reports=late)
    for part in (
        r"Kafka +answers +k:1", r"records behind: 35 \(by partition: 0: 30, 1: 5\) +in 1,234/s, stored 988/s",
        "no worker is running", r"2026-11-09 00:00:00Z, 3 s ago; append to stored: 0\.42 s; generation 1",
        r"0 +stuck +0, 2 +35 +nothing has moved for 90 s", r"2026-11 +A +1 +5", r"not_json +1 +4",
        r"/a .* silent; 2 records refused", r"/bad has stopped the workers: 9 of 10 .*quarantine lift /bad",
        r"2026-10 +csp +open +2026-11-08 +1 overdue +a close",
    ):  # fmt: skip
        assert re.search(part, re.sub("[│┃]", " ", text)), f"{part}\n{text}"


def test_what_cannot_be_read_is_told_in_its_place() -> None:
    text = shown(WELL, log=OutOfReach("no Kafka"), store=OutOfReach("no store"), reports=OutOfReach("no reports"))
    assert [line for line in text.splitlines() if line.startswith(("log", "store", "reports"))] == [
        "log: no Kafka", "store: no store", "reports: no reports"]  # fmt: skip


@pytest.mark.parametrize(
    ("states", "workers", "code"),
    [
        (("answers", "answers"), [], 0),
        (("answers", "answers"), [STUCK._replace(stuck=False)], 0),
        (("answers", "answers"), [STUCK._replace(stuck=False), STUCK], 1),
        (("answers", "hangs"), [STUCK], 3),
        (("down", "answers"), [], 3),
    ],
)
def test_what_stands_still_is_an_exit_code(states: tuple[str, str], workers: list[WorkerHealth], code: int) -> None:
    found = [service._replace(state=state) for service, state in zip(WELL, states, strict=True)]
    assert exit_code(replace(picture(), workers=workers), found) == code
