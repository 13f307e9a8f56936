"""Pseudonyms: a keyed hash in place of a name, so that ClickHouse holds no people (decision 11).

BLAKE2b in its keyed mode is a MAC (RFC 7693); 128 bits of it are the subject.
"""

from __future__ import annotations

from datetime import date
from hashlib import blake2b

from infra.keyring import FIRST, Keys


class Pseudonyms:
    """Hashes canonical identities, scoped by tenant, with a key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tenants: dict[str, blake2b] = {}

    def of(self, tenant: str, canonical: str) -> bytes:
        """The 16 bytes that stand for this identity of this tenant."""
        scoped = self._tenants.get(tenant)
        if scoped is None:
            # A tenant's id holds no NUL, so no two pairs of tenant and identity hash the same text.
            scoped = self._tenants[tenant] = blake2b(f"{tenant}\0".encode(), key=self._key, digest_size=16)
        digest = scoped.copy()
        digest.update(canonical.encode())
        return digest.digest()


class MonthlyPseudonyms:
    """The pseudonyms of each month, by the key that holds in it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.by_start = {start: Pseudonyms(key) for start, key in keys.by_month.items()}
        """By the month from which each key holds."""
        self.first = self.by_start[FIRST]
        self._months: dict[date, Pseudonyms] = {}

    def at(self, month: date) -> Pseudonyms:
        """Those of a month, given by its first day."""
        found = self._months.get(month)
        if found is None:
            found = self._months[month] = self.by_start[self._keys.from_month(month)]
        return found
