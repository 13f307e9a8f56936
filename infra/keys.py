"""Which pseudonym key this data was written with: ClickHouse keeps its fingerprint, and another key is refused.

With another key the same people would be counted as others, so nothing starts before the key was compared.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import date
from typing import Final

from clickhouse_connect.driver.client import Client

from infra.errors import ConfigurationError

FIRST: Final = date(1970, 1, 1)
"""The first key holds from the first month that ClickHouse's Date has."""


def fingerprint(key: bytes) -> str:
    """32 hex digits by which a key is recognised; they say nothing about the key or about any pseudonym."""
    # Its own purpose in the message: no subject is ever hashed to this.
    return hmac.new(key, b"\0rollcall key fingerprint", hashlib.sha256).hexdigest()[:32]


def stored_fingerprint(client: Client) -> str | None:
    """The fingerprint of the newest key; None before the first `migrate`. Raises the driver's errors."""
    rows = client.query("SELECT fingerprint FROM subject_keys ORDER BY valid_from DESC LIMIT 1").result_rows
    return str(rows[0][0]) if rows else None


def check_key(client: Client, key: bytes) -> None:
    """Raises ConfigurationError when the data was written with another key, or with none yet."""
    stored = stored_fingerprint(client)
    if stored is None:
        raise ConfigurationError("the pseudonym key is not known to ClickHouse yet: run `rollcall migrate`")
    if stored != fingerprint(key):
        raise ConfigurationError(
            f"the pseudonym key is not the one that this data was written with (fingerprint {fingerprint(key)[:12]}…, "
            f"stored {stored[:12]}…): with it the same people would be counted as others. Restore the right key in "
            f"ROLLCALL_KEY_FILE (or ROLLCALL_KEY); other data goes into another ROLLCALL_CLICKHOUSE_DATABASE"
        )


def ensure_key(client: Client, key: bytes) -> bool:
    """Stores the fingerprint of the first key; True when it did. Raises ConfigurationError as `check_key` does."""
    known = stored_fingerprint(client) is not None
    if not known:
        client.insert(
            "subject_keys", [[FIRST, fingerprint(key)]], column_names=["valid_from", "fingerprint"],
            # Of two first runs at once one stores its key, and the other one learns it here.
            settings={"insert_deduplication_token": f"key-{FIRST}"},
        )  # fmt: skip
    check_key(client, key)
    return not known
