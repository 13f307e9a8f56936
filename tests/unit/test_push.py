"""A push from files to report; only the wire is a stand-in, which takes what it is given."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from console.main import main
from infra.errors import ConfigurationError, OutOfReach
from producers.client import Deliveries
from producers.push import FileReport, Progress, PushReport, push
from producers.sources.csv import parse_columns
from producers.sources.source import SourceOptions


class Wire:
    """Acknowledges everything at flush; or fails from the nth event on."""

    max_event_bytes = 2000

    def __init__(self, fails_after: int | None = None) -> None:
        self.sent: list[tuple[bytes, str]] = []
        self.acknowledged = self.failed = 0
        self.fails_after = fails_after

    def send_bytes(self, event: bytes, subject: str) -> None:
        self.sent.append((event, subject))
        if self.fails_after is not None and len(self.sent) > self.fails_after:
            self.failed += 1

    send_raw = send_bytes

    def deliveries(self) -> Deliveries:
        return Deliveries(len(self.sent), self.acknowledged, self.failed)

    def flush(self) -> None:
        self.acknowledged = len(self.sent) - self.failed
        if self.failed:
            raise OutOfReach(f"Kafka did not acknowledge {self.failed} events")


def event(**change: Any) -> bytes:
    value = {
        "specversion": "1.0", "id": "1", "source": "/b", "type": "rollcall.login.v1",
        "time": "2026-10-31T23:59:59Z", "subject": "alice", "data": {"tenant": "t", "sku": "S"},
    } | change
    return json.dumps({name: member for name, member in value.items() if member is not None}).encode()


BAD: dict[str, bytes] = {
    "not_json": b"hello", "not_an_event": b"[1]", "missing_member": event(id=None), "wrong_type": event(subject=5),
    "invalid_value": event(subject="  "), "wrong_specversion": event(specversion="0.3"),
    "unknown_event_type": event(type="x"), "bad_time": event(time="2026-10-31T23:59:59"),
    "not_utf8": b'{"subject":"\xe9"}', "nested_too_deep": b"[" * 100 + b"]" * 100,
    "duplicate_member": b'{"id":"1","id":"2"}', "too_large": event(pad="x" * 2000),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "rejects"


def run(
    home: Path, *files: Path | str, wire: Wire | None = None, stdin: bytes = b"", **options: Any
) -> tuple[PushReport, Wire]:
    wire = wire or Wire()
    stream = io.BytesIO(stdin)
    return push([str(file) for file in files], SourceOptions(**options), wire, rejects=home, stdin=stream), wire


def test_the_original_bytes_are_sent(tmp_path: Path, home: Path) -> None:
    lines = [event(), b"  " + event(id="2", note="\u00e9") + b" ", b"", event(id="3").replace(b'"id"', rb'"\u0069d"')]
    file = tmp_path / "logins.ndjson"
    file.write_bytes(b"\r\n".join(lines))
    report, wire = run(home, file)
    assert wire.sent == [(line, "alice") for line in lines if line]
    assert (report.lines, report.sent, report.skipped, report.refused, report.complete) == (4, 3, 1, {}, True)
    assert not home.exists()


def test_a_refused_line_is_kept_mended_and_pushed(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "logins.ndjson"
    good = [event(id=str(n)) for n in range(len(BAD))]
    file.write_bytes(b"".join(line + b"\n" for pair in zip(good, BAD.values(), strict=True) for line in pair))
    report, wire = run(home, file)
    assert [sent for sent, _ in wire.sent] == good
    assert report.refused == dict.fromkeys(BAD, 1)
    assert not report.complete
    [mine] = report.files
    assert [(e.line, e.reason) for e in mine.examples] == [(2 * n, r) for n, r in enumerate(BAD, 1)][:5]
    assert mine.reject_file is not None
    assert mine.reject_file.read_bytes() == b"".join(line + b"\n" for line in BAD.values())
    table = [row.split("\t") for row in mine.reject_file.with_suffix(".reasons.tsv").read_text().splitlines()]
    assert table[0] == ["reject_line", "line", "reason", "detail"]
    assert [(row[0], row[1], row[2]) for row in table[1:]] == [(str(n), str(2 * n), r) for n, r in enumerate(BAD, 1)]
    assert (os.stat(mine.reject_file).st_mode & 0o077) == 0
    assert (os.stat(home).st_mode & 0o077) == 0
    assert sorted(path.suffix for path in home.iterdir()) == [".rejects", ".tsv"], "no part left behind"

    mine.reject_file.write_bytes(event(id="mended") + b"\n" + b"still bad\n")
    again, wire = run(home, mine.reject_file)
    assert [sent for sent, _ in wire.sent] == [event(id="mended")]
    assert again.refused == {"not_json": 1}
    assert again.files[0].reject_file != mine.reject_file, "what a person edited is not written over"


def test_the_next_push_of_a_file_replaces_its_rejects_or_removes_them(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "logins.ndjson"
    file.write_bytes(b"bad 1\nbad 2\n")
    first = run(home, file)[0].files[0].reject_file
    file.write_bytes(event() + b"\nbad 2")
    second = run(home, file)[0].files[0].reject_file
    assert first is not None
    assert first == second
    assert first.read_bytes() == b"bad 2\n"
    file.write_bytes(event())
    assert run(home, file)[0].files[0].reject_file is None
    assert list(home.iterdir()) == []


def test_files_of_one_name_and_standard_input_do_not_lose_each_others_rejects(tmp_path: Path, home: Path) -> None:
    files = [tmp_path / place / "logins.ndjson" for place in ("tokyo", "osaka")]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(file.parent.name.encode())
    run(home, *files)
    run(home, "-", stdin=b"first")
    run(home, "-", stdin=b"second")
    run(home, "-", stdin=event())
    kept = {path.read_bytes() for path in home.glob("*.rejects")}
    assert kept == {b"tokyo\n", b"osaka\n", b"first\n", b"second\n"}


def test_a_csv_reject_file_brings_its_header(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "logins.csv"
    file.write_bytes(b'who,at\r\n"a\nb",2026-01-01T00:00:00Z\r\nbob,never\r\ncarl,2026-01-01T00:00:00Z')
    options: dict[str, Any] = {"format": "csv", "columns": parse_columns("subject=who,time=at"), "sku": "S"}
    report, wire = run(home, file, **options)
    reject = report.files[0].reject_file
    assert [subject for _, subject in wire.sent] == ["carl"]
    assert json.loads(wire.sent[0][0])["id"] == "logins.csv:5"
    assert reject is not None
    assert reject.read_bytes() == b'who,at\r\n"a\nb",2026-01-01T00:00:00Z\r\nbob,never\r\n'
    table = [row.split("\t")[:2] for row in reject.with_suffix(".reasons.tsv").read_text().splitlines()[1:]]
    assert table == [["2", "2"], ["4", "4"]]
    reject.write_bytes(reject.read_bytes().replace(b"never", b"2026-01-02T00:00:00Z"))
    again, wire = run(home, reject, **options)
    assert [subject for _, subject in wire.sent] == ["bob"]
    assert again.refused == {"invalid_value": 1}


def test_raw_sends_lines_as_they_are_but_what_the_topic_would_not_take(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"\n".join([*BAD.values(), b"", event()]))
    report, wire = run(home, file, raw=True)
    sent = dict(wire.sent)
    assert set(sent) == {line for reason, line in BAD.items() if reason != "too_large"} | {event()}
    assert sent[event()] == "alice"
    assert sent[b"hello"] == "hello"
    assert report.refused == {"too_large": 1}
    assert report.files[0].reject_file is not None
    assert report.files[0].reject_file.read_bytes() == BAD["too_large"] + b"\n"


def test_gzip_and_plain_give_the_same_events(tmp_path: Path, home: Path) -> None:
    line = b"Mar 27 13:08:09 web1 sshd[1]: Accepted password for joe from ::1 port 5 ssh2\n"
    plain, packed = tmp_path / "auth.log", tmp_path / "auth.log.gz"
    plain.write_bytes(line)
    packed.write_bytes(gzip.compress(line))
    options: dict[str, Any] = {"format": "sshd", "year": 2026, "zone": "UTC"}
    first, second = (run(home, file, **options)[1].sent for file in (plain, packed))
    assert first == second
    assert json.loads(first[0][0])["id"] == "auth.log:1"
    assert json.loads(run(home, "-", stdin=line, **options)[1].sent[0][0])["id"] == "-:1"


def test_a_file_that_is_cut_off_is_a_fault_and_the_next_file_is_pushed(tmp_path: Path, home: Path) -> None:
    lines = [event(id=os.urandom(16).hex()) for _ in range(5000)]
    cut, whole = tmp_path / "cut.gz", tmp_path / "whole"
    cut.write_bytes(gzip.compress(b"\n".join(lines))[:-30_000])
    whole.write_bytes(lines[0])
    report, wire = run(home, cut, whole)
    first, second = report.files
    assert first.fault is not None
    assert f"after line {first.lines:,}" in first.fault
    assert 0 < first.sent == first.lines < 5000
    assert second == FileReport(str(whole), 1, 1, 0, {}, (), None, second.seconds)
    assert [sent for sent, _ in wire.sent] == [*lines[: first.sent], lines[0]]
    assert not report.complete


def test_what_kafka_did_not_acknowledge_is_an_error_that_says_how_much_was(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "logins.ndjson"
    file.write_bytes(b"bad\n" + (event() + b"\n") * 10_000)
    wire = Wire(fails_after=2000)
    with pytest.raises(OutOfReach, match=r"logins.ndjson: 2,000 events were sent, then no more\. Kafka did not"):
        run(home, file, wire=wire)
    assert len(wire.sent) < 3000, "the rest of the file is not read for nothing"
    assert list(home.iterdir()) == [], "an unfinished push leaves no reject file that looks whole"


def test_rejects_of_standard_input_outlive_a_push_that_failed(home: Path) -> None:
    with pytest.raises(OutOfReach):
        run(home, "-", stdin=b"bad\n" + event(), wire=Wire(fails_after=0))
    assert [path.read_bytes() for path in home.glob("*.rejects")] == [b"bad\n"]


def test_progress(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "logins.ndjson"
    seen: list[Progress] = []
    file.write_bytes((event() + b"\n") * 2500)
    ticks = iter(range(1000))
    push(
        [str(file)], SourceOptions(), Wire(), rejects=home, stdin=io.BytesIO(),
        progress=seen.append, clock=lambda: float(next(ticks)),
    )
    assert [p.lines for p in seen] == [500, 1000, 1500, 2000, 2500, 2500]
    size = file.stat().st_size
    assert seen[-1] == Progress(str(file), size, size, 2500, 2500, 0, seen[-1].seconds)


@pytest.mark.parametrize(("files", "options", "sentence"), [
    ([], {}, "name the files"), (["-", "-"], {}, "only once"), (["nowhere"], {}, "nowhere: there is no such file"),
    (["/"], {}, "is a folder"), (["-"], {"tenant": "t", "sku": "s"}, "--tenant, --sku: CloudEvents say that"),
    (["-"], {"format": "csv"}, "--columns"),
])
def test_wrong_usage_is_told_before_anything_is_sent(
    home: Path, files: list[str], options: dict[str, Any], sentence: str
) -> None:
    wire = Wire()
    with pytest.raises(ConfigurationError, match=sentence):
        run(home, *files, wire=wire, stdin=event(), **options)
    assert wire.sent == []


def test_a_folder_for_rejects_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ConfigurationError, match="ROLLCALL_HOME"):
        run(tmp_path / "home" / "rejects", "-", stdin=b"bad")


def test_a_table_is_not_taken_for_events(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["push", "vpn.csv", "--sku", "DAAS"])
    assert ended.value.code == 2
    assert "vpn.csv: name its columns" in capsys.readouterr().err
