"""Which pseudonym keys this data was written with: ClickHouse keeps their fingerprints, and other keys are refused.

With another key the same people would be counted as others, so nothing starts before the keys were compared, and a new
key can only begin in a month of which nothing is stored.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, ConfigurationError
from infra.generation import in_force
from infra.kafka.group import members
from infra.keyring import FIRST, Keys
from schemas.calendar import month_name, next_month
from schemas.settings import Settings

Fingerprints = Mapping[date, str]
"""By the month from which each key holds."""


def fingerprint(key: bytes) -> str:
    """32 hex digits by which a key is recognised; they say nothing about the key or about any pseudonym."""
    # Its own purpose in the message: no subject is ever hashed to this.
    return hmac.new(key, b"\0rollcall key fingerprint", hashlib.sha256).hexdigest()[:32]


def fingerprints(keys: Keys) -> Fingerprints:
    return {month: fingerprint(key) for month, key in sorted(keys.by_month.items())}


def stored_fingerprints(client: Client) -> Fingerprints:
    """Of every key that data may be written with; none before the first `migrate`. Raises the driver's errors."""
    rows = client.query("SELECT valid_from, fingerprint FROM subject_keys ORDER BY valid_from, stored_at").result_rows
    found: dict[date, str] = {}
    for month, stored in rows:
        found.setdefault(month, str(stored))
    return found


def check_keys(client: Client, keys: Keys) -> None:
    """Raises ConfigurationError unless the keys are those that the data is written with, all of them and no more."""
    stored, given = stored_fingerprints(client), fingerprints(keys)
    if not stored:
        raise ConfigurationError("the pseudonym key is not known to ClickHouse yet: run `rollcall migrate`")
    _refuse_others(stored, given)
    if unknown := sorted(given.keys() - stored.keys()):
        month = month_name(unknown[0])
        raise ConfigurationError(
            f"a pseudonym key from {month} is given, but ClickHouse does not know that one begins then: with all "
            f"workers stopped, `rollcall keys add --from-month {month}`; or take its line out"
        )


def ensure_keys(client: Client, keys: Keys) -> bool:
    """Stores the fingerprints of the first keys; True when it did. Raises ConfigurationError as `check_keys` does."""
    known = bool(stored_fingerprints(client))
    if not known:
        for month, printed in fingerprints(keys).items():
            _store(client, month, printed)
    check_keys(client, keys)
    return not known


def add_key(settings: Settings, client: Client, keys: Keys, month: date) -> bool:
    """From this month on the data is written with the key that `keys` have for it; False when that is so already.

    Raises ConfigurationError when `keys` have none, or not the keys of before, when another key holds from then on, or
    the month or a later one has logins or a seal; CheckFailed while a worker runs; OutOfReach.
    """
    name = month_name(month)
    given = fingerprints(keys)
    with explained(settings.clickhouse):
        stored = stored_fingerprints(client)
        if not stored:
            raise ConfigurationError("the pseudonym key is not known to ClickHouse yet: run `rollcall migrate`")
        _refuse_others(stored, given)
        if month not in given:
            raise ConfigurationError(
                f"no pseudonym key from {name} is given: add a line to where the key is kept, and run this again. "
                f"For a file: (umask 077; echo \"{name} $(openssl rand -hex 32)\" >> FILE)"
            )
        if month in stored:
            return False
        _refuse_begun(client, month)
        if running := members(settings.kafka, in_force(client).group(settings.kafka)):
            raise CheckFailed(
                f"{running} workers run, with the keys of before: stop them all, run this again, then start them with "
                f"the new key"
            )
        _store(client, month, given[month])
        _refuse_others(stored_fingerprints(client), given)  # of two that add at once, one wins
    return True


def _refuse_others(stored: Fingerprints, given: Fingerprints) -> None:
    for month, known in stored.items():
        since = "" if month == FIRST else f" from {month_name(month)}"
        if month not in given:
            raise ConfigurationError(
                f"the pseudonym key{since}, by which this data is written (fingerprint {known[:12]}…), is not given: "
                f"restore its line `{month_name(month)} …` where the keys are kept; an old key is needed as long as "
                f"its months are"
            )
        if given[month] != known:
            raise ConfigurationError(
                f"the pseudonym key{since} is not the one that this data was written with (fingerprint "
                f"{given[month][:12]}…, stored {known[:12]}…): with it the same people would be counted as others. "
                f"Restore the right key in ROLLCALL_KEY_FILE (or ROLLCALL_KEY, ROLLCALL_KEY_COMMAND); a new key begins "
                f"in a month without logins (`rollcall keys add`); other data goes into another "
                f"ROLLCALL_CLICKHOUSE_DATABASE"
            )


def _refuse_begun(client: Client, month: date) -> None:
    """Within a month a key cannot change: its people would be counted twice."""
    [[last]] = client.query(
        f"SELECT greatest((SELECT max(month) FROM {in_force(client).table}), (SELECT max(month) FROM seals))"
    ).result_rows
    if last >= month and last > FIRST:
        free = month_name(next_month(last))
        raise ConfigurationError(
            f"{month_name(last)} has logins or a seal, made with the key of before, so no other key can begin in "
            f"{month_name(month)}: the earliest month is {free}; write {free} in the key's line, then `rollcall keys "
            f"add --from-month {free}`"
        )


def _store(client: Client, month: date, printed: str) -> None:
    client.insert(
        "subject_keys", [[month, printed]], column_names=["valid_from", "fingerprint"],
        # Of two first runs at once one stores its key, and the other one learns it.
        settings={"insert_deduplication_token": f"key-{month}"},
    )  # fmt: skip
