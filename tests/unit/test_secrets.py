"""Secrets: made once, private, never written over; read with a cure for every fault."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.errors import ConfigurationError
from infra.keyring import FIRST, Keys
from infra.local.secrets import create_secrets
from infra.secrets import clickhouse_password, dashboards_password, pseudonym_keys
from schemas.settings import ClickHouseSettings, Settings

KEY = "0123456789abcdef" * 4


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_first_up_makes_all_of_them(settings: Settings) -> None:
    assert create_secrets(settings, data_exists=False)
    assert _mode(settings.secrets) == 0o700
    files = {file.name: file for file in settings.secrets.iterdir()}
    assert set(files) == {"clickhouse-password", "dashboards-password", "pseudonym.key", "accounts.json"}
    assert {_mode(file) for file in files.values()} == {0o600}
    assert len(pseudonym_keys(settings).by_month[FIRST]) == 32
    assert json.loads(files["accounts.json"].read_text()) == {
        "users": {
            "rollcall": {"password": clickhouse_password(settings), "readonly": False},
            "dashboards": {"password": dashboards_password(settings), "readonly": True},
        }
    }
    assert clickhouse_password(settings) != dashboards_password(settings)


def test_the_next_up_changes_nothing(settings: Settings) -> None:
    create_secrets(settings, data_exists=False)
    before = {file: file.read_bytes() for file in settings.secrets.iterdir()}
    assert not create_secrets(settings, data_exists=True)
    assert {file: file.read_bytes() for file in settings.secrets.iterdir()} == before


def test_a_lost_password_is_made_anew_and_the_accounts_follow(settings: Settings) -> None:
    create_secrets(settings, data_exists=False)
    old = clickhouse_password(settings)
    (settings.secrets / "clickhouse-password").unlink()
    assert create_secrets(settings, data_exists=True)
    assert clickhouse_password(settings) != old
    assert clickhouse_password(settings) in (settings.secrets / "accounts.json").read_text()


def test_a_lost_key_is_not_replaced_beside_its_data(settings: Settings) -> None:
    create_secrets(settings, data_exists=False)
    (settings.secrets / "pseudonym.key").unlink()
    with pytest.raises(ConfigurationError, match=r"restore the file from its backup"):
        create_secrets(settings, data_exists=True)
    assert not (settings.secrets / "pseudonym.key").exists()


def test_a_key_of_the_users_own_needs_no_file(settings: Settings) -> None:
    own = settings.model_copy(update={"key": SecretStr(KEY)})
    create_secrets(own, data_exists=False)
    assert not (own.secrets / "pseudonym.key").exists()


def test_settings_win_over_files(settings: Settings, tmp_path: Path) -> None:
    create_secrets(settings, data_exists=False)
    file = tmp_path / "other.key"
    file.write_text(KEY.upper() + "\n")
    with_file = settings.model_copy(update={"key_file": file})
    assert pseudonym_keys(with_file) == Keys({FIRST: bytes.fromhex(KEY)})
    assert pseudonym_keys(with_file.model_copy(update={"key": SecretStr("ff" * 32)})).by_month == {FIRST: b"\xff" * 32}
    clickhouse = ClickHouseSettings(password=SecretStr("of my own"))
    assert clickhouse_password(settings.model_copy(update={"clickhouse": clickhouse})) == "of my own"


def test_without_a_stack_the_cure_is_named(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"clickhouse-password does not exist.*rollcall up"):
        clickhouse_password(settings)
    with pytest.raises(ConfigurationError, match=r"pseudonym\.key does not exist.*rollcall up"):
        pseudonym_keys(settings)
    missing = settings.model_copy(update={"key_file": Path("/nowhere/key")})
    with pytest.raises(ConfigurationError, match=r"/nowhere/key does not exist.*ROLLCALL_KEY_FILE"):
        pseudonym_keys(missing)


@pytest.mark.parametrize("bad", ["", KEY[:-1], KEY + "0", KEY[:-1] + "g", "0x" + KEY[2:], KEY[:32] + " " + KEY[32:]])
def test_a_key_that_is_not_64_hex_digits_is_refused_and_never_shown(settings: Settings, bad: str) -> None:
    with pytest.raises(ConfigurationError, match="not 64 hex digits") as caught:
        pseudonym_keys(settings.model_copy(update={"key": SecretStr(bad)}))
    assert KEY[:16] not in str(caught.value)


def test_a_key_file_that_is_no_text_is_refused(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "binary.key"
    file.write_bytes(b"\xff\xfe" * 32)
    with pytest.raises(ConfigurationError, match="not plain text"):
        pseudonym_keys(settings.model_copy(update={"key_file": file}))
