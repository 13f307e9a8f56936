"""Settings: one place, every error at once, and no secret shown."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from schemas.settings import CONFIG_VARIABLE, Settings, SettingsError, load_settings, setting_names

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)


def faults() -> list[str]:
    with pytest.raises(SettingsError) as error:
        load_settings()
    return str(error.value).splitlines()


def test_without_any_setting_the_local_stack_is_reached() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap == "127.0.0.1:19092"
    assert str(settings.clickhouse.url) == "http://127.0.0.1:18123/"
    assert settings.kafka.quarantine_topic == "logins.quarantine"


def test_overrides_win_over_variables_and_variables_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rollcall.toml").write_text('home = "file"\n[kafka]\ntopic = "file"\ngroup = "file"\npartitions = 7\n')
    monkeypatch.setenv("ROLLCALL_KAFKA_TOPIC", "variable")
    monkeypatch.setenv("ROLLCALL_KAFKA_GROUP", "variable")
    settings = load_settings(home=Path("override"))
    assert (settings.home, settings.kafka.topic, settings.kafka.partitions) == (Path("override"), "variable", 7)


def test_the_file_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("[worker]\nfloor = 2004-01-01\n")
    monkeypatch.setenv(CONFIG_VARIABLE, "other.toml")
    assert load_settings().worker.floor == date(2004, 1, 1)
    monkeypatch.setenv(CONFIG_VARIABLE, "missing.toml")
    assert faults() == ["ROLLCALL_CONFIG=missing.toml: there is no such file; name an existing one or unset it"]


def test_every_variable_reaches_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Group names end at the first `_` and settings' names have more of them: none may be swallowed."""
    for name, value in [("ROLLCALL_KEY_FILE", "k"), ("ROLLCALL_KEY", "ab" * 32), ("ROLLCALL_CLICKHOUSE_KEY_FILE", "c"),
                        ("ROLLCALL_WORKER_INSERT_RETRY_SECONDS", "7"), ("ROLLCALL_LOCAL_KAFKA_PORT", "2000"),
                        ("ROLLCALL_CLOSE_DEADLINE_SECONDS", "9")]:  # fmt: skip
        assert name in setting_names()
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.key_file, settings.clickhouse.key_file) == (Path("k"), Path("c"))
    assert settings.key is not None
    assert settings.key.get_secret_value() == "ab" * 32
    assert (settings.worker.insert_retry_seconds, settings.local.kafka_port) == (7.0, 2000)
    assert settings.close.deadline_seconds == 9.0


WRONG = [
    ("ROLLCALL_KAFKA_BOOTSTRAP", "localhost", "'localhost' is not HOST:PORT"),
    ("ROLLCALL_KAFKA_BOOTSTRAP", "a:1,b", "'b' is not HOST:PORT"),
    ("ROLLCALL_KAFKA_PARTITIONS", "0", "greater than or equal to 1"),
    ("ROLLCALL_KAFKA_PARTITIONS", "many", "valid integer"),
    ("ROLLCALL_KAFKA_SECURITY", "TLS", "'PLAINTEXT', 'SSL'"),
    ("ROLLCALL_KAFKA_TOPIC", "log ins", "match pattern"),
    ("ROLLCALL_CLICKHOUSE_URL", "127.0.0.1:8123", "URL"),
    ("ROLLCALL_CLICKHOUSE_DATABASE", "a-b", "match pattern"),
    ("ROLLCALL_WORKER_FLOOR", "1970-01-01", "no month before 1970-01"),
    ("ROLLCALL_WORKER_FLOOR", "soon", "date"),
    ("ROLLCALL_WORKER_QUARANTINE_RATIO", "1.5", "less than or equal to 1"),
    ("ROLLCALL_LOCAL_KAFKA_PORT", "80", "greater than or equal to 1024"),
]


@pytest.mark.parametrize(("variable", "value", "words"), WRONG)
def test_a_wrong_value_names_setting_value_and_cure(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    (fault,) = faults()
    assert fault.startswith(variable.removeprefix("ROLLCALL_").lower().replace("_", ".", 1))
    assert repr(value) in fault
    assert words in fault
    assert f"set {variable} or " in fault
    assert "default" in fault


def test_every_fault_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rollcall.toml").write_text('[kafka]\npartitions = 0\nbotstrap = "a:1"\n[worker]\nfloor = "soon"\n')
    monkeypatch.setenv("ROLLCALL_KAFKA_SECURITY", "TLS")
    monkeypatch.setenv("ROLLCALL_HOM", "x")
    told = faults()
    assert len(told) == 5, told
    for words in ("partitions", "kafka.botstrap: there is no such setting; did you mean kafka.bootstrap?", "floor",
                  "kafka.security", "ROLLCALL_HOM: there is no such setting; did you mean ROLLCALL_HOME?"):  # fmt: skip
        assert any(words in fault for fault in told), told


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("ROLLCALL_KAFKA_BOOTSTRP", ["did you mean ROLLCALL_KAFKA_BOOTSTRAP?"]),
        ("ROLLCALL_CLICKHOUSE_PASWORD", ["did you mean ROLLCALL_CLICKHOUSE_PASSWORD?"]),
        ("ROLLCALL_ZZZZZZZZZZZZZZZZZZZZ", ["`rollcall settings` lists all"]),
    ],
)
def test_an_unknown_variable_is_told_once_with_what_was_meant(
    variable: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)
    found = faults()
    assert [fault for fault in found if variable in fault] == found[:1]
    assert len(found) == 1, found
    assert all(words in found[0] for words in told)
    assert SECRET not in found[0]


SECRETIVE = [
    f'key = ["{SECRET}"]',
    f'[clickhouse]\npassword = ["{SECRET}"]',
    f'[kafka]\nsasl_password = {{a = "{SECRET}"}}',
    f'[[clickhouse]]\npassword = "{SECRET}"',
    f'[kafka]\nsasl_pasword = "{SECRET}"',
    f'secret = "{SECRET}"',
    f'clickhouse = "{SECRET}"',
]


@pytest.mark.parametrize("text", SECRETIVE)
def test_no_fault_shows_a_secret(text: str) -> None:
    Path("rollcall.toml").write_text(text)
    assert SECRET not in "\n".join(faults())


def test_no_secret_is_shown_by_the_settings_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ROLLCALL_KEY", "ROLLCALL_CLICKHOUSE_PASSWORD", "ROLLCALL_KAFKA_SASL_PASSWORD"):
        monkeypatch.setenv(variable, SECRET)
    settings = load_settings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize("text", ["[kafka", "a = ", "kafka = 1\nkafka = 2", "\x00", "home = 5"])
def test_a_broken_file_is_named(text: str) -> None:
    Path("rollcall.toml").write_text(text)
    assert "rollcall.toml" in faults()[0]


def test_a_file_that_is_no_utf_8_is_named() -> None:
    Path("rollcall.toml").write_bytes(b'home = "\xff"')
    assert "rollcall.toml" in faults()[0]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().kafka.topic = "other"  # type: ignore[misc]
