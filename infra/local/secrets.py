"""The local stack's secrets: made once, in `<home>/secrets/` (0700), each file readable by its owner only.

The pseudonym key is never written twice: with another key the same people would be counted as others.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final

from infra.errors import ConfigurationError
from infra.secrets import CLICKHOUSE_PASSWORD, DASHBOARDS_PASSWORD, PSEUDONYM_KEY, dashboards_password
from schemas.settings import Settings

ACCOUNTS: Final = "accounts.json"
USER: Final = "rollcall"
DASHBOARDS_USER: Final = "dashboards"


def create_secrets(settings: Settings, *, data_exists: bool) -> bool:
    """Makes what is missing; True when the accounts changed, so that a running engine must read them again.

    The caller holds the stack's lock. Raises ConfigurationError when the key is gone but its data is not.
    """
    folder = settings.secrets
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    key = folder / PSEUDONYM_KEY
    elsewhere = (settings.key, settings.key_file, settings.key_command)
    if elsewhere == (None, None, None) and not key.exists():
        if data_exists:
            raise ConfigurationError(
                f"the pseudonym key {key} is gone, but data that was written with it is there: restore the file "
                f"from its backup (or name the key in ROLLCALL_KEY_FILE); to begin anew, remove {settings.home}"
            )
        _write(key, secrets.token_hex(32) + "\n")
    for name in (CLICKHOUSE_PASSWORD, DASHBOARDS_PASSWORD):
        if not (folder / name).exists():
            _write(folder / name, secrets.token_urlsafe(24) + "\n")
    accounts = {
        USER: {"password": (folder / CLICKHOUSE_PASSWORD).read_text("ascii").strip(), "readonly": False},
        DASHBOARDS_USER: {"password": dashboards_password(settings), "readonly": True},
    }
    text = json.dumps({"users": accounts}, indent=2) + "\n"
    file = folder / ACCOUNTS
    if file.exists() and file.read_text("utf-8") == text:
        return False
    _write(file, text)
    return True


def _write(file: Path, text: str) -> None:
    # Whole or not at all: half a key that looks like a file would be worse than none.
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
