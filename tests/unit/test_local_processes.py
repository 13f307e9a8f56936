"""A pid file names one process for ever, or none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infra.local.processes import BackgroundProcess, Identity, identify, parse_pid_file, parse_stat

_STAT = "{pid} ({name}) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 {start} 10 20 30"


@pytest.fixture
def process(tmp_path: Path) -> BackgroundProcess:
    return BackgroundProcess("Server", tmp_path / "run" / "server.json", tmp_path / "server.log", tmp_path)


def _note(process: BackgroundProcess, text: str) -> None:
    process.pid_file.parent.mkdir(exist_ok=True)
    process.pid_file.write_text(text)


@pytest.mark.parametrize("name", ["java", "a b", "x) R 1 (y", ")"])
def test_the_start_is_field_22_whatever_the_name_holds(name: str) -> None:
    stat = _STAT.format(pid=7, name=name, state="S", threads=9, start=991)
    assert parse_stat(7, stat, "boot-1") == Identity(7, "boot-1/991")


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_process_that_ended_is_nobody(state: str) -> None:
    assert parse_stat(7, _STAT.format(pid=7, name="java", state=state, threads=1, start=991), "boot-1") is None


def test_a_zombie_whose_threads_still_end_holds_its_port() -> None:
    stat = _STAT.format(pid=7, name="java", state="Z", threads=3, start=991)
    assert parse_stat(7, stat, "boot-1") == Identity(7, "boot-1/991")


def test_the_same_pid_and_ticks_after_a_reboot_are_another_process() -> None:
    stat = _STAT.format(pid=7, name="java", state="S", threads=9, start=991)
    assert parse_stat(7, stat, "boot-1") != parse_stat(7, stat, "boot-2")


def test_a_process_is_identified_the_same_way_twice() -> None:
    assert identify(os.getpid()) is not None
    assert identify(os.getpid()) == identify(os.getpid())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": "y"}', "null"])
def test_a_half_written_pid_file_names_nobody(process: BackgroundProcess, text: str) -> None:
    _note(process, text)
    assert parse_pid_file(process.pid_file) is None
    assert process.running() is None
    assert process.stop(0.1) is False


def test_no_pid_file_names_nobody(process: BackgroundProcess) -> None:
    assert process.running() is None
    assert process.stop(0.1) is False


def test_a_recycled_pid_is_neither_ours_nor_ended(process: BackgroundProcess) -> None:
    # The pid of this very test: were it taken for ours, the signal would end the test run.
    _note(process, json.dumps({"pid": os.getpid(), "started": "an earlier boot/1"}))
    assert process.running() is None
    assert process.stop(0.1) is False
    assert not process.pid_file.exists()


def test_the_tail_is_the_last_lines(process: BackgroundProcess) -> None:
    process.log_file.write_text("".join(f"line {n}\n" for n in range(5000)))
    assert process.tail(3) == "line 4997\nline 4998\nline 4999"
    process.log_file.unlink()
    assert process.tail() == ""
