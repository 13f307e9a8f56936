"""The secrets that other rooms read: ClickHouse's password and the pseudonym keys.

A setting wins over a file. Left out, they come from the folder that `rollcall up` fills for the local stack;
`infra.local.secrets` writes it, this module only reads.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Final

from infra.errors import ConfigurationError
from infra.keyring import NEW_KEY, Keys, parse_keys
from schemas.settings import Settings

CLICKHOUSE_PASSWORD: Final = "clickhouse-password"
DASHBOARDS_PASSWORD: Final = "dashboards-password"
PSEUDONYM_KEY: Final = "pseudonym.key"

COMMAND_SECONDS: Final = 30.0
"""How long the command that gives the keys may take."""


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


def pseudonym_keys(settings: Settings) -> Keys:
    """What subjects are hashed with: `key`, else `key_file`, else what `key_command` prints, else the local stack's.

    Raises ConfigurationError when there is none, or when it is not as `infra.keyring` describes.
    """
    if settings.key is not None:
        return parse_keys(settings.key.get_secret_value(), "ROLLCALL_KEY")
    if settings.key_file is not None:
        cure = f"name an existing file in ROLLCALL_KEY_FILE; make one: {NEW_KEY}"
        return parse_keys(_read(settings.key_file, "pseudonym key", cure), str(settings.key_file))
    if settings.key_command is not None:
        return parse_keys(_printed(settings.key_command), "what ROLLCALL_KEY_COMMAND prints")
    file = settings.secrets / PSEUDONYM_KEY
    cure = "run `rollcall up`, which makes one for the local stack, or name yours in ROLLCALL_KEY_FILE"
    return parse_keys(_read(file, "pseudonym key", cure), str(file))


def _password(file: Path, cure: str) -> str:
    password = _read(file, "password for ClickHouse", cure)
    if not password:
        raise ConfigurationError(f"the password file {file} is empty: remove it, then run `rollcall up`")
    return password


def _printed(command: str) -> str:
    """What the command says on standard output; what it says elsewhere is the operator's to see, not ours."""
    try:
        words = shlex.split(command)
        done = subprocess.run(words, stdout=subprocess.PIPE, timeout=COMMAND_SECONDS, check=False)
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"ROLLCALL_KEY_COMMAND cannot be run ({getattr(error, 'strerror', None) or error}): write a program and "
            f"its arguments; it is run without a shell"
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"ROLLCALL_KEY_COMMAND gave no pseudonym key within {COMMAND_SECONDS:.0f} s: run it by hand"
        ) from None
    if done.returncode != 0:
        raise ConfigurationError(f"ROLLCALL_KEY_COMMAND ended with code {done.returncode}: run it by hand")
    return done.stdout.decode("ascii", "replace")


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
