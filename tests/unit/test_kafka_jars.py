"""The lock of Kafka's jars: read strictly, and every jar held against it on each use."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from infra.errors import ConfigurationError, OutOfReach, RollcallError
from infra.local import jars
from infra.local.jars import LOCK_FILE, Jar, JarLock, classpath, load_lock, parse_lock, render_lock

CONTENT = b"the bytes of a jar"
JAR = Jar("org.example:thing:1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
LOCK = JarLock((JAR.coordinate,), (JAR,))


def _silence(_: str) -> None:
    pass


def _serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    asked: list[str] = []

    def download(coordinate: str, folder: Path) -> Path:
        asked.append(coordinate)
        file = folder / "served.jar"
        file.write_bytes(content)
        return file

    monkeypatch.setattr(jars, "_download", download)
    return asked


def test_the_lock_in_the_repository_is_whole() -> None:
    lock = load_lock()
    assert lock.version("kafka_2.13") == lock.version("kafka-clients"), "jgo's own choice of clients is an old one"
    assert lock.version("kafka_2.13").startswith("4.")
    names = {jar.coordinate.split(":")[1] for jar in lock.jars}
    assert {"scala-library", "kafka-server", "kafka-storage", "log4j-core", "log4j-slf4j-impl"} <= names
    jackson = {lock.version(name) for name in ("jackson-core", "jackson-databind", "jackson-dataformat-yaml")}
    assert len(jackson) == 1, "log4j's table of versions took Jackson back: its root needs the '!'"


def test_the_lock_names_no_host() -> None:
    assert "://" not in LOCK_FILE.read_text()


def test_what_is_written_reads_the_same() -> None:
    lock = load_lock()
    assert render_lock(lock) == LOCK_FILE.read_text()
    assert parse_lock(render_lock(lock)) == lock


@pytest.mark.parametrize(
    "line",
    [
        "jar org.example:thing:1.0 18",
        f"jar org.example:thing 18 sha256:{JAR.sha256}",
        f"jar org.example:thing:1.0 18 sha256:{JAR.sha256[:-1]}",
        f"jar org.example:../thing:1.0 18 sha256:{JAR.sha256}",
        f"jar org.example:thing:1.0 many sha256:{JAR.sha256}",
        "<<<<<<< ours",
    ],
)
def test_a_line_that_is_no_jar_is_named(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"line 2 "):
        parse_lock(f"# head\n{line}\n")


def test_two_jars_of_one_file_name_are_refused() -> None:
    text = render_lock(LOCK) + f"jar com.example:thing:1.0 18 sha256:{JAR.sha256}\n"
    with pytest.raises(ConfigurationError, match="second jar"):
        parse_lock(text)


def test_a_jar_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _serve(monkeypatch, CONTENT)
    told: list[str] = []
    assert classpath(LOCK, tmp_path, told.append) == [tmp_path / "thing-1.0.jar"]
    assert (tmp_path / "thing-1.0.jar").read_bytes() == CONTENT
    assert len(told) == 1
    classpath(LOCK, tmp_path, told.append)
    assert asked == [JAR.coordinate]
    assert len(told) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["thing-1.0.jar"]


@pytest.mark.parametrize("broken", [b"", CONTENT[:-1], CONTENT[:-1] + b"X"])
def test_a_broken_jar_is_replaced(broken: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, CONTENT)
    (tmp_path / "thing-1.0.jar").write_bytes(broken)
    classpath(LOCK, tmp_path, _silence)
    assert (tmp_path / "thing-1.0.jar").read_bytes() == CONTENT


def test_other_bytes_than_the_lock_has_are_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _serve(monkeypatch, b"something else")
    with pytest.raises(RollcallError, match="arrives with SHA-256"):
        classpath(LOCK, tmp_path, _silence)
    assert not (tmp_path / "thing-1.0.jar").exists()
    assert len(asked) == 3


def test_without_a_network_the_sentence_has_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(coordinate: str, folder: Path) -> Path:
        raise ConnectionError("no route")

    monkeypatch.setattr(jars, "_download", download)
    with pytest.raises(OutOfReach, match=r"org\.example:thing:1\.0 cannot be fetched.*HTTPS_PROXY"):
        classpath(LOCK, tmp_path, _silence)
