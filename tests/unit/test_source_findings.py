"""What a report says of sources that were silent or have not answered, and which sources are its affair."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.catalogue import Catalogue
from schemas.report import SilentTime, SourceSeen
from schemas.source_declared import DeclaredSource
from stream_jobs.month_close.agreements import contract_in
from stream_jobs.month_close.report.sources_seen import concerns
from stream_jobs.month_close.rules.sources import why_unanswered, why_unread
from tests.unit.report_basis import OCTOBER, agreement, catalogue, found, only, report, sku

END = datetime(2026, 10, 31, 15, tzinfo=UTC)
EARLIER = datetime(2026, 10, 31, 14, 59, tzinfo=UTC)


def silence(day: int) -> SilentTime:
    start, end = (datetime(2026, 10, day, hour, tzinfo=UTC) for hour in (1, 9))
    return SilentTime(start=start, end=end, minutes=450, time_zone="Asia/Tokyo")


@pytest.mark.parametrize(("says", "severity"), [("warn", "warning"), ("block", "blocking")])
def test_the_agreement_says_how_severe_it_is(says: str, severity: str) -> None:
    held = catalogue(agreements=[agreement(silent_sources=says)])
    seen = [SourceSeen(source="/b", kind="push", silent=[silence(5), silence(7)]), SourceSeen(source="/a", kind="push")]
    made = report({("a", "S1"): 1}, of=held, sources=seen)
    finding = only(made, "silent_source:/b")
    assert finding.severity == severity
    assert "silent for 15h of its expected hours of 2026-10 (2026-10-05 10:00 to 2026-10-05 18:00, " in finding.text
    assert len(made.findings) == 1
    assert [s.source for s in made.sources] == ["/a", "/b"]


def test_of_many_silences_some_are_told() -> None:
    made = report({}, sources=[SourceSeen(source="/b", kind="push", silent=[silence(day) for day in range(1, 8)])])
    assert "and 2 more times, Asia/Tokyo" in only(made, "silent_source:/b").text


@pytest.mark.parametrize(("seen", "why"), [
    ({}, ""),
    ({"waiting": True}, ""),
    ({"asked_until": END}, "has never told how far it has sent"),
    ({"asked_until": END, "complete_to": EARLIER}, "has told that all is sent until 2026-10-31 14:59Z only"),
    ({"asked_until": END, "complete_to": END}, ""),
    ({"asked_until": END, "complete_to": END, "waiting": True}, "had logins that waited for Kafka"),
])  # fmt: skip
def test_who_has_answered(seen: dict[str, Any], why: str) -> None:
    source = SourceSeen(source="/g", kind="gateway", **seen)
    assert why_unanswered(source) == why
    assert len(found(report({}, sources=[source]), "no_watermark")) == bool(why)


@pytest.mark.parametrize(("refused", "why"), [
    (0, ""), (1, "had 1 record that could not be read as logins"),
    (7, "had 7 records that could not be read as logins"),
])  # fmt: skip
def test_what_a_reader_could_not_read(refused: int, why: str) -> None:
    source = SourceSeen(source="/horizon", kind="syslog", refused=refused)
    assert why_unread(source) == why
    assert [finding.text[:9] for finding in found(report({}, sources=[source]), "refused_records")] == (
        ["/horizon "] if refused else []
    )


def declared(**settings: str) -> DeclaredSource:
    if not settings:
        return DeclaredSource(source="/s", kind="push")
    access = {"client": "c", "secret": "env:S"}
    return DeclaredSource(source="/s", kind="citrix", reads="https://x.example", settings=access | settings)


def two() -> Catalogue:
    """Agreement east has tenant a, west the others; /s has products of S1 for tenant a."""
    return catalogue(
        skus=[sku("S1"), sku("O1", programme="other")],
        agreements=[agreement("east", tenants=["a"]), agreement("west")],
        programmes={"csp": {"time_zone": "Asia/Tokyo"}, "other": {"time_zone": "UTC"}},
        products=[{"source": "/s", "product": "p", "sku": "S1", "tenant": "a"}],
    )


@pytest.mark.parametrize(("source", "whose"), [
    (declared(), {"east"}),
    (declared(tenant="b"), {"west", "other"}),
    (declared(tenant="b", sku="S1"), {"west"}),
    (declared(sku="O1"), {"other"}),
    (declared().model_copy(update={"source": "/elsewhere"}), {"east", "west", "other"}),
])  # fmt: skip
def test_whose_affair_a_source_is(source: DeclaredSource, whose: set[str]) -> None:
    held = two()
    ids = ("east", "west", "other")
    assert {id for id in ids if concerns(source, held, contract_in(held, id, OCTOBER), OCTOBER)} == whose
