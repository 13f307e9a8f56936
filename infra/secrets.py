"""The two secrets that other rooms read: ClickHouse's password and the pseudonym key.

A setting wins over a file. Left out, both come from the folder that `rollcall up` fills for the local stack;
`infra.local.secrets` writes it, this module only reads.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from infra.errors import ConfigurationError
from schemas.settings import Settings

CLICKHOUSE_PASSWORD: Final = "clickhouse-password"
DASHBOARDS_PASSWORD: Final = "dashboards-password"
PSEUDONYM_KEY: Final = "pseudonym.key"

_HEX_KEY: Final = re.compile(r"[0-9A-Fa-f]{64}")
_NEW_KEY: Final = "make one: (umask 077; openssl rand -hex 32 > FILE)"


def clickhouse_password(settings: Settings) -> str:
    """The password of `settings.clickhouse.user`: the setting, else the local stack's file.

    Raises ConfigurationError when there is neither.
    """
    if settings.clickhouse.password is not None:
        return settings.clickhouse.password.get_secret_value()
    return _password(
        settings.secrets / CLICKHOUSE_PASSWORD,
        "run `rollcall up` for the local stack's, or set ROLLCALL_CLICKHOUSE_PASSWORD for another server",
    )


def dashboards_password(settings: Settings) -> str:
    """The password of the local stack's read-only account `dashboards`.

    Raises ConfigurationError when the local stack was never started.
    """
    return _password(settings.secrets / DASHBOARDS_PASSWORD, "`rollcall up` makes it for the local stack")


def pseudonym_key(settings: Settings) -> bytes:
    """The 32 bytes that subjects are hashed with: `key`, else `key_file`, else the local stack's file.

    Raises ConfigurationError when there is none, or when it is not 64 hex digits.
    """
    if settings.key is not None:
        return _key(settings.key.get_secret_value(), "ROLLCALL_KEY")
    if settings.key_file is not None:
        cure = f"name an existing file in ROLLCALL_KEY_FILE; {_NEW_KEY}"
        return _key(_read(settings.key_file, "pseudonym key", cure), str(settings.key_file))
    file = settings.secrets / PSEUDONYM_KEY
    cure = "run `rollcall up`, which makes one for the local stack, or name yours in ROLLCALL_KEY_FILE"
    return _key(_read(file, "pseudonym key", cure), str(file))


def _password(file: Path, cure: str) -> str:
    password = _read(file, "password for ClickHouse", cure)
    if not password:
        raise ConfigurationError(f"the password file {file} is empty: remove it, then run `rollcall up`")
    return password


def _key(text: str, place: str) -> bytes:
    text = text.strip()
    if not _HEX_KEY.fullmatch(text):
        # Never shown: a mangled key is still most of a key.
        raise ConfigurationError(
            f"the pseudonym key in {place} is not 64 hex digits ({len(text)} characters read): "
            f"restore the key that this data was written with, from its backup; for new data, {_NEW_KEY}"
        )
    return bytes.fromhex(text)


def _read(file: Path, what: str, cure: str) -> str:
    try:
        return file.read_text("ascii").strip()
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {what}: {file} does not exist; {cure}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the {what} in {file} is not plain text; {cure}") from None
    except OSError as error:
        cure = "run as its owner, or mend its permissions"
        raise ConfigurationError(f"the {what} in {file} cannot be read ({error.strerror}): {cure}") from None
