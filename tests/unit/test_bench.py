"""The bench's own arithmetic: what is wrong gives no figure, and what is right is shown as it is."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.budget import Budget
from bench.environments import PINS, Unavailable, python_of
from bench.events import CATALOGUE, distinct, events, probe, steady, users_of
from bench.figures import Figures, Truth, fault, percentile, spread
from bench.peers import CONTENDERS
from bench.picture import Bar, Chart, svg
from bench.report import Section
from bench.results import write
from bench.worker import SWEPT, Scenario, show
from schemas.event import read_event

TRUTH = Truth(events=1000, users=50)
RIGHT = {"events": 1000, "users": 50, "wall": 0.5, "cpu": 0.004, "server": 0.002}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"users": 49}, "counted 49 users, the truth is 50"),
        ({"users": 51}, "counted 51 users, the truth is 50"),
        ({"events": 999}, "read 999 of 1,000 events"),
        ({"wall": 0.0}, "took no time"),
    ],
)
def test_a_wrong_result_gives_no_figure(changed: dict[str, float], said: str) -> None:
    figures = Figures()
    figures.add(RIGHT, TRUTH)
    assert figures.shown
    figures.add(RIGHT | changed, TRUTH, counts=False)  # in a warm-up too
    figures.add(RIGHT, TRUTH)
    assert not figures.shown
    assert said in (figures.failed or "")
    assert len(figures.rates) == 1


def test_medians_and_spread() -> None:
    figures = Figures()
    figures.add(RIGHT | {"wall": 9.0}, TRUTH, counts=False)
    assert not figures.shown
    for wall in (0.5, 0.25, 1.0):
        figures.add(RIGHT | {"wall": wall}, TRUTH)
    assert fault(RIGHT, TRUTH) is None
    assert (figures.rate, figures.cpu_median, figures.server_median) == pytest.approx((2000, 4, 2))
    assert spread(figures.rates) == pytest.approx((4000 - 1000) / 2000)


def test_percentiles() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.99) == 7
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_planted_truth_is_what_the_events_hold() -> None:
    for count, counted in ((1000, 0.95), (1000, 0.0), (300, 0.5), (100, 0.99)):
        stream = list(events(count, counted))
        assert len(stream) == count
        assert len({subject for subject, _ in stream}) == users_of(count, counted)
        user_days = {(subject, json.loads(event)["time"][:10]) for subject, event in stream}
        assert len(user_days) == round(count * (1 - counted))
    assert len({subject for subject, _ in distinct(200, 40)}) == 200
    assert len(list(distinct(200, 40))) == 240
    times = [json.loads(event)["time"] for _, event in steady(20, 5, 3)]
    assert len(times) == 300
    assert times == sorted(times)


def test_every_event_keeps_the_contract() -> None:
    for subject, event in (*events(50, 0.5), *distinct(50, 5), *steady(5, 2, 2), probe(7)):
        read = read_event(event)
        assert read.subject == subject
        assert f"id: {read.data.sku}," in CATALOGUE


def test_a_chart_has_a_bar_a_contender_in_proportion() -> None:
    bars = [Bar("Rollcall", 200, 150, 400, ours=True), Bar("loop <1>", 100, 100, 100)]
    root = ET.fromstring(svg([Chart("95 % & packed", bars), Chart("empty", [])], "events/s"))
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(rect.attrib["width"]) for rect in root.iter(f"{space}rect")]
    assert widths[0] == pytest.approx(2 * widths[1])
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {"95 % & packed", "loop <1>", "200", "100"} <= set(texts)
    whisker = next(root.iter(f"{space}line"))
    assert float(whisker.attrib["x2"]) > float(whisker.attrib["x1"])


def test_a_peer_that_fails_is_shown_and_ends_nothing() -> None:
    scenario = Scenario(1000, 0.95, 4, 1)
    found = {name: Figures() for name in ("Rollcall", "loop", "Bytewax")}
    found["Rollcall"].add(RIGHT, TRUTH)
    found["loop"].add(RIGHT | {"wall": 0.25}, TRUTH)
    found["Bytewax"].add(RIGHT | {"users": 3}, TRUTH)
    section = Section("Worker", ("a",), figures=[])
    show(section, scenario, found)
    assert not section.failed
    cells = {row[4]: row[6:9] for row in section.rows}
    assert {row[3] for row in section.rows} == {"1,000"}
    assert cells["loop"][0] == "4,000"
    assert cells["Rollcall"] == ["2,000", "0%", "0.50"]
    assert cells["Bytewax"][0] == "–"
    assert [bar.label for bar in section.charts[0].bars] == ["loop", "Rollcall"]
    assert next(f for f in section.figures if f["contender"] == "Bytewax")["failed"]
    found["Rollcall"].add(RIGHT | {"users": 3}, TRUTH)
    show(section, scenario, found)
    assert section.failed


def test_results_are_replaced_as_a_whole(tmp_path: Path) -> None:
    drawn = Section("Worker", ("contender", "events/s"), [["a|b", "1"]], ["A note."], {"rate": 1.0})
    drawn.charts = [Chart("c", [Bar("x", 1, 1, 1)])]
    write("latest", {"machine": "this"}, {"worker": drawn}, tmp_path)
    page = (tmp_path / "latest.md").read_text()
    assert "![" in page
    assert "| a\\|b | 1 |" in page
    assert json.loads((tmp_path / "latest.json").read_text())["worker"]["figures"] == {"rate": 1.0}
    write("latest", {"machine": "this"}, {"storage": Section("Disk", ())}, tmp_path)
    assert not (tmp_path / "latest.svg").exists()
    assert "![" not in (tmp_path / "latest.md").read_text()


def test_a_budget_lets_nothing_begin_that_does_not_fit() -> None:
    now = [0.0]
    budget = Budget(1, lambda: now[0])
    assert budget.left(60)
    assert not budget.left(61)
    half = budget.share(0.5)
    assert half.left(30)
    assert not half.left(31)
    now[0] = 60.5
    assert not budget.left(0)
    assert Budget(None, lambda: now[0]).left(1e9)


def test_pins_are_exact_and_of_contenders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(PINS) <= {contender.name for contender in CONTENDERS}
    assert all("==" in pin for pins in PINS.values() for pin in pins)
    assert {"Rollcall", "loop", "ClickHouse"} == {contender.name for contender in SWEPT}
    monkeypatch.setattr("sys.prefix", str(tmp_path))  # where no installer is
    with pytest.raises(Unavailable, match="cannot be installed"):
        python_of("Bytewax", tmp_path)
