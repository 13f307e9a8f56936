"""A poller beside odd brokers: what is dated in the future hides nothing, and a broker's bad day does not end it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import ConfigurationError, OutOfReach
from producers.adapters.adapter import NotALogin, Seen
from producers.polling import poller as module
from producers.polling.brokers import Broker
from producers.polling.poller import Poller
from producers.polling.portion import Portion
from producers.polling.reader import Refusals, read
from producers.polling.watermark import state_of
from schemas.quarantine import Refusal
from schemas.settings import KafkaSettings
from schemas.source_report import SourceReport
from schemas.source_settings import PolledSettings

NOW = datetime(2026, 10, 3, 12, tzinfo=UTC)
NOBODY: Any = None


class Producer:
    def __init__(self, *_: object, **__: object) -> None: ...
    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None: ...
    def flush(self) -> None: ...
    def report(self, *_: object) -> None: ...


class Asked:
    """Answers to one poll after the other; an error is raised."""

    def __init__(self, *answers: datetime | Exception) -> None:
        self.answers, self.since, self.stop = list(answers), list[datetime](), Event()

    def __call__(self, since: datetime) -> Iterator[Portion]:
        self.since.append(since)
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, Exception):
            raise answer
        yield Portion([], answer)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    failures: list[str] = []
    monkeypatch.setattr(module, "LoginProducer", Producer)
    monkeypatch.setattr(module, "send_failure", lambda *failed: failures.append(str(failed[-1])))
    return failures


def poller(folder: Path, asked: Asked) -> Poller:
    settings = PolledSettings(since=datetime(2026, 10, 1, tzinfo=UTC), overlap_minutes=90)
    broker = Broker(NOBODY, asked, lambda begin: begin, NOBODY)
    return Poller("/db", broker, settings, folder, KafkaSettings(), lambda _: None, lambda: NOW)


def test_a_row_of_the_future_hides_nothing_that_comes_before_it(tmp_path: Path, told: list[str]) -> None:
    asked = Asked(NOW + timedelta(days=365), NOW)
    for _ in range(2):
        assert poller(tmp_path, asked).once()
    assert asked.since[1] == NOW - timedelta(minutes=90)
    assert state_of(tmp_path, "db").mark == NOW
    assert told == []


def test_after_a_first_poll_nothing_that_may_pass_ends_it(tmp_path: Path, told: list[str]) -> None:
    asked = Asked(NOW, ConfigurationError("it answered 302"), ConfigurationError("no room"), NOW)
    assert poller(tmp_path, asked).until(asked.stop, 0.0)
    assert (len(asked.since), told) == (4, ["it answered 302", "no room"])


def test_a_fault_of_ours_ends_no_poller(tmp_path: Path, told: list[str]) -> None:
    asked = Asked(TypeError("alice"), NOW)
    assert poller(tmp_path, asked).until(asked.stop, 0.0)
    assert (len(asked.since), told) == (2, ["a fault of this program: TypeError"])


def test_a_record_that_nobody_can_read_stops_no_source(tmp_path: Path) -> None:
    """Half of a surrogate, which no UTF-8 can hold; and what an adapter trips over."""

    class Adapter:
        def translate(self, record: dict[str, str]) -> Iterator[Seen]:
            yield Seen(time="2026-10-01T00:00:00Z", subject=record["name"], id="1", source="/s", product="p")

    sent, marks = list[str](), list[datetime]()
    sender: Any = SimpleNamespace(send_bytes=lambda _, subject: sent.append(subject), flush=lambda: None)
    watermark: Any = SimpleNamespace(mark=None, advance=marks.append)
    records = [{"name": "x\ud800"}, {"user": "alice"}, {"name": "bob"}]
    for _ in range(2):
        tally = read([Portion(records, NOW)], Adapter(), sender, watermark, Refusals(tmp_path / "r"), source="/s")
        assert (tally.records, tally.sent, tally.refused, marks.pop()) == (3, 1, 2, NOW)
    assert sent == ["bob", "bob"]
    assert [json.loads(line) for line in (tmp_path / "r").read_bytes().splitlines()] == records[:2]


def test_what_is_wrong_from_the_start_is_said_at_once(tmp_path: Path, told: list[str]) -> None:
    asked = Asked(ConfigurationError("refuses the key"), NOW)
    with pytest.raises(ConfigurationError, match="refuses the key"):
        poller(tmp_path, asked).until(asked.stop, 0.0)
    assert told == []


class Odd:
    """Reads no record."""

    def translate(self, record: object) -> Iterator[NotALogin]:
        raise Refusal("wrong_type", "odd")


def test_a_poll_reports_what_waits_to_be_mended_and_how_far_it_may_be_believed(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[SourceReport] = []
    monkeypatch.setattr(Producer, "report", lambda _, report: reports.append(report))
    records = [{"id": number} for number in range(3)]
    broker = Broker(
        Odd(), lambda since: iter([Portion(records, NOW)]), lambda begin: begin, NOBODY, timedelta(hours=10)
    )
    settings = PolledSettings(since=datetime(2026, 10, 1, tzinfo=UTC), overlap_minutes=90)
    one = Poller("/db", broker, settings, tmp_path, KafkaSettings(), lambda _: None, lambda: NOW)
    assert not one.once()
    records.append({"id": 4})
    assert not one.once(), "those of the overlap come again"
    records.clear()
    assert one.once()
    (tmp_path / "db.rejects").unlink()
    assert one.once()
    assert [each.refused for each in reports] == [3, 4, 4, 0]
    assert {each.complete_to for each in reports} == {NOW - timedelta(hours=11, minutes=30)}


class Broken:
    """Sender, refusals and watermark in one: what it is asked is noted; one thing it does not do."""

    def __init__(self, at: str) -> None:
        self.at, self.asked, self.mark = at, list[str](), None

    def __getattr__(self, name: str) -> Any:
        def asked(*_: object) -> None:
            self.asked.append(name)
            if name == self.at:
                raise OutOfReach(name)

        return asked


@pytest.mark.parametrize(("at", "asked"), [
    ("flush", ["send_bytes", "flush"]), ("keep", ["send_bytes", "flush", "keep"]),
    ("advance", ["send_bytes", "flush", "keep", "advance"]),
])  # fmt: skip
def test_the_mark_moves_when_all_before_it_is_safe_and_never_earlier(at: str, asked: list[str]) -> None:
    class Adapter:
        def translate(self, record: object) -> Iterator[Seen]:
            yield Seen(time="2026-10-01T00:00:00Z", subject="alice", id="1", source="/s", product="p")

    broken = Broken(at)
    both: Any = broken
    with pytest.raises(OutOfReach):
        read([Portion([{"id": 1}], NOW), Portion([{"id": 2}], NOW)], Adapter(), both, both, both, source="/s")
    assert broken.asked == asked
