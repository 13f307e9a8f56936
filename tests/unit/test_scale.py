"""docs/scale.md: its tables are what `python -m bench.planning` prints, and the simulation bears the arithmetic out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.planning import CATCH_UP_HOURS, DAY, PAGE, PEAK_LOAD, SITES, Plan, Site, plan, tables, written
from bench.simulation import STEP, run


def test_the_page_is_fresh() -> None:
    page = PAGE.read_text("utf-8")
    assert written(page, tables()) == page, "stale: `python -m bench.planning --write`"


def test_a_day_has_all_its_logins() -> None:
    assert (len(DAY), sum(DAY)) == (24, 100)


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_a_plan_keeps_within_its_bounds(site: Site) -> None:
    made = plan(site)
    assert made.load <= PEAK_LOAD
    assert made.catch_up_hours <= CATCH_UP_HOURS
    assert made.cache_entries / 2 >= 1.1 * site.rows_a_day / made.workers
    assert made.partitions % made.workers == 0


def test_the_simulation_bears_the_arithmetic_out() -> None:
    made = plan(SITES[2])
    found = run(made)
    assert found.due[0] == pytest.approx(made.site.rows_a_day, rel=0.05)
    assert found.rows[0] == pytest.approx(found.due[0], rel=0.01)
    assert found.busy == pytest.approx(made.load, rel=0.3)
    assert made.catch_up_hours * 3600 - STEP < found.caught_up < 2 * made.catch_up_hours * 3600


def test_what_is_too_small_shows_in_the_simulation() -> None:
    made = plan(SITES[2])
    forgetful = run(replace(made, cache_entries=made.cache_entries // 8))
    assert forgetful.rows[0] > 2 * forgetful.due[0]
    alone = run(Plan(replace(made.site, logins=made.site.logins * 3), 1, 4, made.cache_entries * 100))
    assert alone.caught_up > 3 * made.catch_up_hours * 3600
